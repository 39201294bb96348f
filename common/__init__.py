"""What two processes need. Nothing here knows who calls it."""
