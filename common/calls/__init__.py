"""The one way in for provider data: obtain a permit, make the call, settle, save, publish."""
