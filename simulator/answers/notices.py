"""Alpha Vantage's refusals, word for word as they were recorded; all are sent with status 200. It does not know when one is due.

Only `unknown_notice` is invented: it stands for the text that nobody has seen yet. Of `not_entitled_yet` no more than this was recorded.
"""

from common.core.limits import DAY, Rule

_PLANS = "https://www.alphavantage.co/premium/"
_THANKS = "Thank you for using Alpha Vantage!"
_SUBSCRIBE = f"You may subscribe to any of the premium plans at {_PLANS} to"
_MORE = "Please contact support@alphavantage.co if you are targeting a higher API request volume."

NOTICES: dict[str, tuple[str, str]] = {
    "throttled_second": (
        "Information",
        f"{_THANKS} Please consider spreading out your free API requests more sparingly (1 request per second). {_SUBSCRIBE} "
        "lift the free key rate limit (25 requests per day), raise the per-second burst limit, and instantly unlock all premium endpoints",
    ),
    "throttled_burst": (
        "Information",
        "Burst pattern detected. Please consider spreading out your API requests more evenly across a 1-minute window and query "
        f"no more than 20 requests per second. {_MORE}",
    ),
    "throttled_demo": ("Information", "Please query the demo URLs at no more than 2 requests per second."),
    "throttled_minute": (
        "Note",
        f"{_THANKS} Our standard API call frequency is 5 calls per minute and 500 calls per day. Please visit {_PLANS} "
        "if you would like to target a higher API call frequency.",
    ),
    "throttled_minute_premium": (
        "Information",
        "Minute-level rate limit exceed. Please stay under the number of API requests per minute for your premium subscription plan. "
        f"{_MORE}",
    ),
    "throttled_volume": (
        "Information",
        f"{_THANKS} Please contact premium@alphavantage.co if you are targeting a higher API call volume.",
    ),
    "not_entitled": (
        "Information",
        f"{_THANKS} This is a premium endpoint. {_SUBSCRIBE} instantly unlock all premium endpoints",
    ),
    "not_entitled_full": (
        "Information",
        f"{_THANKS} The outputsize=full parameter value is a premium feature for the TIME_SERIES_DAILY endpoint. {_SUBSCRIBE} "
        "instantly unlock all premium features",
    ),
    "not_entitled_yet": ("Note", "You are not yet entitled to index data access..."),
    "bad_key": (
        "Error Message",
        "the parameter apikey is invalid or missing. Please claim your free API key on "
        "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds.",
    ),
    "bad_key_old": (
        "Error Message",
        "the parameter apikey is invalid or missing. Please claim your free API key on "
        "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds, and is free permanently.",
    ),
    "demo_key": (
        "Information",
        "The **demo** API key is for demo purposes only. Please claim your free API key at "
        "(https://www.alphavantage.co/support/#api-key) to explore our full API offerings. It takes fewer than 20 seconds.",
    ),
    "day_used_up": (
        "Information",
        "We have detected your API key as <KEY> and our standard API rate limit is 25 requests per day. Please subscribe to any of "
        f"the premium plans at {_PLANS} to instantly remove all daily rate limits.",
    ),
    "day_used_up_old": (
        "Information",
        f"{_THANKS} Our standard API rate limit is 25 requests per day. Please subscribe to any of the premium plans at {_PLANS} "
        "to instantly remove all daily rate limits.",
    ),
    "bad_request": (
        "Error Message",
        "Invalid API call. Please retry or visit the documentation (https://www.alphavantage.co/documentation/) for <FUNCTION>.",
    ),
    "no_such_function": ("Error Message", "This API function (<FUNCTION>) does not exist."),
    "unknown_notice": ("Information", f"{_THANKS} Our servers are moving to another building tonight."),
}

ARTIFICIAL = (
    "This is a premium endpoint. ***THE SAMPLE DATA SCHEMA BELOW IS ARTIFICIAL AND FOR ILLUSTRATION PURPOSES ONLY***. To access the actual "
    "data, please subscribe to any premium plan that mentions 'Realtime US Market Data' in its description at "
    f"{_PLANS} for your personal non-professional use. For professional/commercial use, please contact support at support@alphavantage.co."
)


def notice(name: str, *, key: str = "", function: str = "") -> dict[str, str]:
    """The body of a notice. `day_used_up` echoes the caller's key, as Alpha Vantage does."""
    field, text = NOTICES[name]
    return {field: text.replace("<KEY>", key).replace("<FUNCTION>", function)}


def name_of_rule(rule: Rule) -> str:
    """The name of the notice for a call that broke `rule`."""
    seconds = rule.period.total_seconds()
    if seconds < 60:
        return "throttled_second" if rule.calls == 1 else "throttled_burst"
    return "throttled_minute" if rule.period < DAY else "day_used_up"
