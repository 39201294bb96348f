"""How provider data enters: obtain a permit, make the call, save, settle, publish."""
