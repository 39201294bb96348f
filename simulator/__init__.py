"""A local Alpha Vantage: the same URL, bodies, limits and faults, over invented prices.

`market` invents the prices, `answers` makes bodies of them, and the modules beside this one serve them, count calls and break things.
It shares with Quotewell how limits and settings are read, and nothing else.
"""
