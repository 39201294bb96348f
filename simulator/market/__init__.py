"""The invented market: which securities exist, when they trade, and what each costs at any moment. It knows no call and no answer."""
