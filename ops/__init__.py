"""The command line `quotewell`, and the local run of everything."""
