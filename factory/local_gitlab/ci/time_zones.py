"""Time zones of schedules: names of the time zone database, and the names that GitLab's pages offer.

docs: Pipeline schedules API; the second names are those of Ruby on Rails, ``ActiveSupport::TimeZone``.
"""

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from factory.errors import InvalidInput

# By region of the time zone database: the city there, and the names for it if they differ from it.
_REGIONS = {
    "Africa": "Algiers: West Central Africa|Cairo|Casablanca|Harare|Johannesburg: Pretoria|Monrovia|Nairobi",
    "America": (
        "Bogota|Caracas|Chicago: Central Time (US & Canada)|Chihuahua|Denver: Mountain Time (US & Canada)|"
        "Argentina/Buenos_Aires: Buenos Aires|Godthab: Greenland|Guatemala: Central America|Guyana: Georgetown|"
        "Halifax: Atlantic Time (Canada)|Indiana/Indianapolis: Indiana (East)|Juneau: Alaska|La_Paz|Lima: Lima, Quito|"
        "Los_Angeles: Pacific Time (US & Canada)|Mazatlan|Mexico_City: Mexico City, Guadalajara|Monterrey|Montevideo|"
        "New_York: Eastern Time (US & Canada)|Phoenix: Arizona|Puerto_Rico|Regina: Saskatchewan|Santiago|"
        "Sao_Paulo: Brasilia|St_Johns: Newfoundland|Tijuana"
    ),
    "Asia": (
        "Almaty: Almaty, Astana|Baghdad|Baku|Bangkok: Bangkok, Hanoi|Chongqing|Colombo: Sri Jayawardenepura|Dhaka|"
        "Hong_Kong|Irkutsk|Jakarta|Jerusalem|Kabul|Kamchatka|Karachi: Karachi, Islamabad|Kathmandu|"
        "Kolkata: Kolkata, Chennai, Mumbai, New Delhi|Krasnoyarsk|Kuala_Lumpur|Kuwait|Magadan|"
        "Muscat: Muscat, Abu Dhabi|"
        "Novosibirsk|Rangoon|Riyadh|Seoul|Shanghai: Beijing|Singapore|Srednekolymsk|Taipei|Tashkent|Tbilisi|Tehran|"
        "Tokyo: Tokyo, Osaka, Sapporo|Ulaanbaatar|Urumqi|Vladivostok|Yakutsk|"
        "Yekaterinburg: Ekaterinburg|Yerevan"
    ),
    "Atlantic": "Azores|Cape_Verde: Cape Verde Is.|South_Georgia: Mid-Atlantic",
    "Australia": "Adelaide|Brisbane|Darwin|Hobart|Melbourne: Melbourne, Canberra|Perth|Sydney",
    "Etc": "UTC",
    "Europe": (
        "Amsterdam|Athens|Belgrade|Berlin|Bratislava|Brussels|Bucharest|Budapest|Copenhagen|Dublin|Helsinki|Istanbul|"
        "Kaliningrad|Kiev: Kyiv|Lisbon|Ljubljana|London: London, Edinburgh|Madrid|Minsk|Moscow: Moscow, St. Petersburg|"
        "Paris|Prague|Riga|Rome|Samara|Sarajevo|Skopje|Sofia|Stockholm|Tallinn|Vienna|Vilnius|Volgograd|Warsaw|Zagreb|"
        "Zurich: Zurich, Bern"
    ),
    "Pacific": (
        "Apia: Samoa|Auckland: Auckland, Wellington|Chatham: Chatham Is.|Fakaofo: Tokelau Is.|Fiji|"
        "Guadalcanal: Solomon Is.|Guam|Honolulu: Hawaii|Majuro: Marshall Is.|Midway: Midway Island|"
        "Noumea: New Caledonia|Pago_Pago: American Samoa|Port_Moresby|Tongatapu: Nuku'alofa"
    ),
}


def _names() -> dict[str, str]:
    found = {"International Date Line West": "Etc/GMT+12"}
    for region, cities in _REGIONS.items():
        for entry in cities.split("|"):
            city, _, names = entry.partition(": ")
            places = names.split(", ") if names else [city.replace("_", " ")]
            found |= dict.fromkeys(places, f"{region}/{city}")
    return found


_NAMES = _names()


def zone(name: str) -> tzinfo:
    """Return a time zone by its name; raises ``InvalidInput`` if it does not exist."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(_NAMES.get(name, name))
    except (KeyError, ValueError, OSError) as error:
        raise InvalidInput(f"the time zone {name!r} does not exist") from error
