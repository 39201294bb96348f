"""What each function of Alpha Vantage answers. Pure: the market, a call's parameters and a time in; JSON or CSV out."""
