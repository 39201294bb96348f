"""What every request goes through: ids, errors, limits, CORS, validation. It knows no quote and no user."""
