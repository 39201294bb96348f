"""The provider's answers and what they mean. Pure."""
