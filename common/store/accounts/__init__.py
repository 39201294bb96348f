"""Users, their logins and lists, and what they did."""
