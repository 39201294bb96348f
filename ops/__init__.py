"""What a person types: the command line `quotewell` and the local run of everything."""
