"""Recognises a secret by the name that it is assigned to, in code, YAML, JSON, TOML, `.env` and command lines. Pure."""

import re

# Names of passwords, which people make up, and of keys and tokens, which programs draw.
_MADE_UP = r"pass(?:word|wd|phrase|code)|pwd|(?<![a-z])p(?:ass|w)(?![a-z])|(?-i:(?<=[a-z])Pass(?![a-z]))"
_DRAWN = (
    r"secret|token|credential|(?<![a-z0-9])_auth(?![a-z])"
    r"|(?:api|auth|access|private|signing|encryption|master|storage|account|shared|client|service)[_-]?key"
)
_NAME = rf"(?:(?P<password>{_MADE_UP})|{_DRAWN})"
# Between a name and its value: quote and bracket of a key, a type (`: str =`, Go's ` string =`), and the sign.
_SIGN = r"\\?[\"'\]]{0,2}\s*(?::\s?[&\w.\[\]]{1,30}\s*=|[ ][\w.]{1,20}\s*=|:=|=>|<-|\?=|[:=])\s*"
_QUOTED = r"(?P<quote>\\?[\"'`])(?P<quoted>(?:(?!(?P=quote))\S){8,}+)(?P=quote)"
# A value without quotes ends with its word, or where the next parameter of a query begins.
_BARE = r"(?P<bare>(?:[^\s\"'`,;&]|&(?!\w{1,40}=)){10,}+)"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"{_NAME}(?P<rest>\w{{0,20}}){_SIGN}(?:{_QUOTED}|{_BARE})",
        rf"<[\w.:-]{{0,40}}{_NAME}(?P<rest>)>(?P<bare>[^\s<]{{10,}}+)</",
        rf"^\+?\s*(?:env|arg)\s+\w{{0,40}}?{_NAME}(?P<rest>\w{{0,20}})\s+{_BARE}",
        rf"\s--[\w-]{{0,40}}?{_NAME}(?P<rest>)\s+{_BARE}",
        rf"(?:^\+?\s*|\blogin\s+\S{{1,100}}\s+)(?P<password>password)(?P<rest>)\s+{_BARE}\s*$",
        rf"(?P<password>\bcurl\b).{{0,200}}?\s(?:-u|--user)(?P<rest>)[ =]?[^\s:\"'$]{{1,100}}:{_BARE}",
    )
)
_WORTH = re.compile(rf"{_MADE_UP}|{_DRAWN}|curl", re.IGNORECASE)
# How names end that say something about a secret, such as where it is.
_ABOUT = re.compile(
    r"(?:name|path|file|dir|ur[il]|endpoint|host|type|id|ref|count|length|size|expiry|ttl|field|policy|rule|method|class"
    r"|arn|version|env|prefix|format|store|manager|provider|izer|label|title|hint|owner|issuer|scope|algorithm|regex)s?$",
    re.IGNORECASE,
)
_CODE = re.compile(r"[()\[\]{}<>$|\\]|^=|::|^[A-Za-z_]{3,}=")
_TEMPLATE = re.compile(r"^[$<{%]|\$\{|\{\{|\||^\w+\[")
_REFERENCE = re.compile(r"://|^[.~#@]?/|^arn:|^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$|^[\w.+-]+@[\w-]+(?:\.[\w-]+)+$")
# Words and short numbers, as names in code and of resources have them; a drawn value has single letters. Nothing is
# tried twice, or a long value would take for ever.
_WORDS = re.compile(
    r"[a-z]?(?:[A-Z]?+[a-z]{2,}+|(?>[A-Z]{2,}(?![a-z]))|[A-Z](?=[A-Z][a-z])|[A-Z]$"
    r"|[0-9]{1,5}+(?![0-9])|[vV][0-9]|[_:-])++"
)
_NAMED = re.compile(rf"{_MADE_UP}|{_DRAWN}", re.IGNORECASE)
_LETTERS_AND_DIGITS = ("[a-z]", "[A-Z]", "[0-9]")
_ANY = (*_LETTERS_AND_DIGITS, r"[^A-Za-z0-9\s]")
# The least lengths of values, and the least number of kinds of characters.
_LONG, _QUOTED_LONG, _MIXED, _MIXTURE = 16, 12, 10, 3


def assigns_secret(text: str) -> bool:
    """Return whether a line, or a part of it, assigns a value that looks like a secret to a name that says so."""
    return bool(_WORTH.search(text)) and any(_judge(found) for form in _FORMS for found in form.finditer(text))


def _judge(found: "re.Match[str]") -> bool:
    parts = found.groupdict()
    if _ABOUT.search(parts["rest"]):
        return False
    quoted, bare, password = parts.get("quoted"), parts["bare"] or "", bool(parts["password"])
    if quoted is None:
        words = password and len(bare) >= _LONG and _kinds(bare, ("[A-Za-z]", "[0-9]")) > 1
        return not _CODE.search(bare) and not _refers(bare) and (words or _mixed(bare) or _drawn(bare))
    if _TEMPLATE.search(quoted) or _refers(quoted):
        return False
    if parts["rest"]:
        return _drawn(quoted) or _mixed(quoted)
    if password:
        return len(quoted) >= _QUOTED_LONG or _kinds(quoted, _ANY) >= _MIXTURE
    return len(quoted) >= _QUOTED_LONG and not (_WORDS.fullmatch(quoted) and not re.search("[0-9]", quoted))


def _refers(value: str) -> bool:
    """Return whether a value names where a secret is: an address, a path, an attribute, a variable, another secret."""
    if _REFERENCE.search(value):
        return True
    parts = re.split(r"[/.]", value.lstrip("*&!"))
    words = all(_WORDS.fullmatch(part) for part in parts)
    return words and (len(parts) > 1 or bool(_NAMED.search(value)))


def _drawn(value: str) -> bool:
    """Return whether a program probably drew a value: long, of several kinds of characters, and no words."""
    return len(value) >= _LONG and _kinds(value, _LETTERS_AND_DIGITS) > 1 and not _WORDS.fullmatch(value)


def _mixed(value: str) -> bool:
    """Return whether a value without quotes has the mixture of characters that rules for passwords ask for."""
    special = re.search(r"[!@#%^&*?~+=]", value)
    return len(value) >= _MIXED and special is not None and _kinds(value, _ANY) >= _MIXTURE


def _kinds(value: str, kinds: tuple[str, ...]) -> int:
    return sum(re.search(kind, value) is not None for kind in kinds)
