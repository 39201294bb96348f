"""A listing of the real size in the provider's recorded form: made-up papers around real companies, the same for the same seed.

It has what the recorded one has: backticks for apostrophes, entities in capitals, funds in capitals with a blank behind, funds on one
share with its symbol or its company's name in theirs, preferreds, warrants, units, rights, notes, second venues, test symbols and
rows without a name. It holds none of the recorded rows but a few that cases name.
"""

import csv
import io
import random
import string
from collections.abc import Iterator, Sequence

from common.core.models import Function, Listed
from common.core.provider.alpha_vantage import decipher
from simulator.answers.listing import LISTING_COLUMNS
from simulator.market.universe import US, load_universe

SIZE = 13_411
Row = tuple[str, str, str, str]  # symbol, name, exchange, asset type


def _list(text: str) -> list[str]:
    return text.split(",")


CASES: Sequence[Row] = (
    ("GOOP", "Kurv Yield Premium Strategy Google (GOOGL) ETF", "BATS", "ETF"),
    ("GOOX", "T-REX 2X LONG ALPHABET DAILY TARGET ETF ", "BATS", "ETF"),
    ("BRKW", "ROUNDHILL BRKB WEEKLYPAY ETF ", "BATS", "ETF"),
    ("BRKU", "DIREXION DAILY BRKB BULL 2X SHARES ", "NASDAQ", "ETF"),
    ("BRKD", "DIREXION DAILY&NBSP;BRKB BEAR 1X SHARES ", "NASDAQ", "ETF"),
    ("IAI", "ISHARES U.S. BROKER-DEALERS &AMP; SECURITIES EXCHANGES ETF ", "NYSE ARCA", "ETF"),
    ("LABU", "DIREXION DAILY S&AMP;P BIOTECH BULL 3X SHARES", "NYSE ARCA", "ETF"),
    ("APLE", "Apple Hospitality REIT Inc", "NYSE", "Stock"),
    ("COKE", "Coca-Cola Consolidated Inc", "NASDAQ", "Stock"),
    ("KOF", "Coca-Cola Femsa S.A.B. DE C.V.", "NYSE", "Stock"),
    ("HP", "Helmerich & Payne Inc", "NYSE", "Stock"),
    ("SWX", "Southwest Gas Holdings Inc", "NYSE", "Stock"),
    ("BGRY", "Berkshire Grey Inc - Class A", "NASDAQ", "Stock"),
    ("JOUT", "Johnson Outdoors Inc - Class A", "NASDAQ", "Stock"),
    ("JNJ-WD", "Johnson & Johnson WhenDistributed", "NYSE", "Stock"),
    ("WIFI:BAT", "Boingo Wireless Inc", "NASDAQ", "Stock"),
    ("PKX", "POSCO Holdings Inc", "NYSE", "Stock"),
    ("AMZE", "Amaze Holdings Inc", "NYSE MKT", "Stock"),
    ("VIDA", "Vida Health Inc", "NASDAQ", "Stock"),
    ("TELA", "Tela Bio Inc", "NASDAQ", "Stock"),
    ("F-P-C", "Ford Motor Company 6% Note", "NYSE", "Stock"),
    ("JPM-P-M", "J P Morgan Chase & Co Depositary Shares Series M", "NYSE", "Stock"),
    ("TMUSL", "TMobile US Inc 6.250 Senior Notes due 2069", "NASDAQ", "Stock"),
    ("BC", "Brunswick Corp", "NYSE", "Stock"),
    ("BC/PB", "Brunswick Corp", "NYSE", "Stock"),
    ("NYCB- PR-U", "New York Community Capital Trust", "NYSE", "Stock"),
    ("-P-HIZ", "Presurance Holdings Inc", "NASDAQ", "Stock"),
    ("ZVZZT", "NASDAQ TEST STOCK", "NASDAQ", "Stock"),
    ("NTEST-A", "", "NYSE", "Stock"),
    ("BJ", "BJ`s Wholesale Club Holdings Inc", "NYSE", "Stock"),
    ("LE", "Lands` End Inc", "NASDAQ", "Stock"),
    ("KSS", "Kohl`s Corp", "NYSE", "Stock"),
    ("M", "Macy`s Inc", "NYSE", "Stock"),
)
FIRST = _list(
    "Northern,Pacific,Appleton,Micros,Starboard,Teslin,Fordham,Visalia,Oraclia,Intellia,Netsol,Adobia,"
    "Boeckman,Costar,Walden,Target,Delta,American,United,General,First,Capital,Summit,Pioneer,Harbor,"
    "Cedar,Granite,Silver,Golden,Blue,Red,Green,Bright,Quantum,Stellar,Nova,Apex,Zenith,Vertex,"
    "Atlas,Orion,Titan,Phoenix,Falcon,Eagle,Lion,Bear,River,Lake,Ocean,Mountain,Valley,Prairie,"
    "Desert,Island,Coastal,Central,Western,Eastern,Southern,Liberty,Patriot,Heritage,Legacy,Trinity,"
    "Unity,Vision,Insight"
)
SECOND = _list(
    "Energy,Bancorp,Therapeutics,Pharmaceuticals,Technologies,Resources,Financial,Medical,Biosciences,"
    "Networks,Systems,Industries,Foods,Logistics,Semiconductor,Software,Materials,Mining,Gold,Oncology,"
    "Robotics,Aerospace,Marine,Realty,Water,Power,Solar,Hydrogen,Insurance,Holdings,Genetics,"
    "Diagnostics,Entertainment,Gaming,Motors,Airlines,Steel,Chemicals,Brands,Apparel"
)
FORMS = _list("Inc,Corp,Holdings Inc,Ltd,plc,Company,Inc - Class A,Group Inc,Co.,Corporation,LP,N.V.")
ISSUERS = _list(
    "ISHARES,VANGUARD,SPDR,INVESCO,PROSHARES,DIREXION,GRANITESHARES,FIRST-TRUST,WISDOMTREE,SCHWAB,"
    "FIDELITY,JPMORGAN,GOLDMAN-SACHS,FRANKLIN,XTRACKERS,INNOVATOR,DIMENSIONAL,PIMCO,GLOBAL-X,VANECK,"
    "ARK,AMPLIFY,ROUNDHILL,YIELDMAX(R),DEFIANCE"
)
THEMES = _list(
    "S&P,500,GROWTH,VALUE,DIVIDEND,INCOME,BOND,TREASURY,EMERGING MARKETS,SMALL-CAP,MID-CAP,"
    "HEALTH CARE,ENERGY,SEMICONDUCTOR,CLOUD,AI,ROBOTICS,GOLD,SILVER,BITCOIN,BUFFER JANUARY,BUFFER JULY,"
    "EQUAL WEIGHT,LOW VOLATILITY,QUALITY,MOMENTUM,JAPAN,CHINA,EUROPE,INDIA"
)
ON_ONE_SHARE = (
    "DIREXION DAILY {} BULL 2X SHARES ",
    "DIREXION DAILY {} BEAR 1X SHARES ",
    "GRANITESHARES 2X LONG {} DAILY ETF ",
    "YIELDMAX(R) {} OPTION INCOME STRATEGY ETF ",
    "Tradr 2X Short {} Daily",
    "LEVERAGE SHARES 2X LONG {} DAILY ETF ",
)
BANKS = ("JPM", "BAC", "WFC", "C", "GS", "MS", "USB", "COF", "SCHW", "T", "ALL", "MET", "PSA", "KEY", "RF")


def make_listing(seed: int = 7, size: int = SIZE) -> tuple[Listed, ...]:
    """As it is once the provider's body was read."""
    answer = decipher(Function.LISTING, ("US",), 200, make_body(seed, size))
    return tuple(row for row in answer if isinstance(row, Listed))


def make_body(seed: int = 7, size: int = SIZE) -> bytes:
    """The body of LISTING_STATUS, `size` rows by symbol."""
    made: dict[str, Row] = {}
    for row in _rows(random.Random(seed)):
        made.setdefault(row[0], row)
        if len(made) == size:
            break
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(LISTING_COLUMNS)
    writer.writerows([*made[symbol], "2000-01-03", "null", "Active"] for symbol in sorted(made))
    return text.getvalue().encode()


def _rows(chance: random.Random) -> Iterator[Row]:
    """Endless: first what is there, then what fills."""
    yield from CASES
    companies = list(_companies())
    yield from companies
    yield from _papers(companies)
    yield from _funds_on_one_share(companies, chance)
    while True:
        yield from _company(chance)
        yield from (_fund(chance) for _ in range(2))


def _companies() -> Iterator[Row]:
    for one in load_universe(seed=1).values():
        if one.region == US:
            name = f"{one.name.upper()} " if one.kind == "ETF" else one.name
            yield one.symbol, name.replace("'", "`"), one.exchange, one.kind


def _papers(companies: Sequence[Row]) -> Iterator[Row]:
    """What banks and others list beside their shares, under the same name or a longer one."""
    for symbol, name, venue, kind in companies:
        if symbol in BANKS:
            yield from ((f"{symbol}-P-{letter}", name, "NYSE", "Stock") for letter in "ABCDEFGH")
        if kind == "Stock" and len(symbol) == 4 and venue == "NASDAQ":
            yield f"{symbol}W", f"{name} - Warrants (16/03/2027)", venue, "Stock"
        if len(symbol) < 3:
            yield f"{symbol}:BAT", name, "NYSE ARCA", "Stock"


def _funds_on_one_share(companies: Sequence[Row], chance: random.Random) -> Iterator[Row]:
    for symbol, name, _, kind in companies:
        for form in ON_ONE_SHARE if kind == "Stock" else ():
            told = symbol if chance.random() < 0.8 else name.split()[0].upper()
            yield _symbol(chance, 4), form.format(told), chance.choice(("NASDAQ", "BATS", "NYSE ARCA")), "ETF"


def _company(chance: random.Random) -> Iterator[Row]:
    """A share, and now and then what a company without a business lists."""
    symbol, name = _symbol(chance, chance.choice((3, 4, 4))), " ".join(_words(chance))
    if chance.random() < 0.12:
        name = f"{name} Acquisition Corp"
        yield f"{symbol}U", f"{name} - Units (1 Ord Cls A & 1/3 War)", "NASDAQ", "Stock"
        yield f"{symbol}-WS", f"{name} Warrants each whole warrant exercisable for one ordinary share", "NYSE", "Stock"
        yield f"{symbol}R", f"{name} Right", "NASDAQ", "Stock"
    elif chance.random() < 0.01:
        name = ""
    yield symbol, f"{name} {chance.choice(FORMS)}" if name else "null", chance.choice(("NASDAQ", "NYSE")), "Stock"


def _words(chance: random.Random) -> tuple[str, str]:
    first = chance.choice(FIRST)
    made = first if chance.random() < 0.3 else _syllables(chance)
    return made, chance.choice(SECOND)


def _syllables(chance: random.Random) -> str:
    return "".join(
        chance.choice("BCDFGHKLMNPRSTVZ") + chance.choice("aeiou") for _ in range(chance.choice((2, 3, 4)))
    ).title()


def _fund(chance: random.Random) -> Row:
    themes = " ".join(chance.sample(THEMES, 2))
    name = f"{chance.choice(ISSUERS)} {themes} ETF ".replace("&", chance.choice(("&", "&AMP;")))
    return _symbol(chance, 4), name, chance.choice(("NYSE ARCA", "NASDAQ", "BATS")), "ETF"


def _symbol(chance: random.Random, letters: int) -> str:
    return "".join(chance.choices(string.ascii_uppercase, k=letters))
