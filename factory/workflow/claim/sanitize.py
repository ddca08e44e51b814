"""Screens text from any author before an agent reads it. Pure.

Screening only warns: an agent's permissions do not depend on it. It removes only characters and comments that are
invisible on the issue's page (OWASP LLM01; Unicode TR 36 and 39).
"""

import re
import unicodedata
from collections.abc import Iterator

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\uffa0"
    "\ufe00-\ufe0f\ufeff\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Invisible characters that belong to an emoji; they cause no warning.
_EMOJI = re.compile("(?<=[\u2190-\u2bff\u3030\u303d\U0001f000-\U0001faff])[\ufe0f\u200d]+")
_LINE_END = re.compile("\r\n?|[\u0085\u2028\u2029]")
_COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{4,}")
_ALIKE = str.maketrans("аеорсухіѕјԁһνοαρτυι", "aeopcyxisjdhvoaptui")
_MIXABLE = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE")
_LINKS, _LINK = 50, 300

# Matched against folded text: compatibility forms resolved, look-alikes replaced, lower case.
_SHAPES = tuple(
    (name, re.compile(shape, re.MULTILINE))
    for name, shape in (
        (
            "instruction",
            r"\b(ignore|disregard|forget|override)\b.{0,60}\b(instruction|rule|polic|prompt|guideline|brief)",
        ),
        ("instruction", r"\b(you are now|from now on,? you|act as (an?|the) |pretend (to be|you)|new instructions?:)"),
        ("instruction", r"\b(system|developer|hidden) (prompt|message|mode)\b|\bdo anything now\b|\bjailbreak\b"),
        ("instruction", r"\b(note|message|instructions?|attention)\b.{0,30}\b(ai|agents?|assistants?|llms?|bots?)\b"),
        ("turn", r"^\W{0,8}(assistant|system|developer|human|user)\W{0,4}:"),
        # The brief puts the issue text between lines of tildes.
        ("turn", r"^[> ]{0,8}~{4}"),
        ("turn", r"<\|[a-z_]{2,20}\|>|\[/?inst\]|<</?sys>>|</?(system|assistant|user)>"),
        ("tool-call", r"</?[a-z:_]{0,20}(function_calls?|tool_calls?|tool_use|tool_result|invoke)\b[^>]{0,100}>"),
        ("tool-call", r"\"(tool_calls?|function_call|jsonrpc|tool_use_id)\"\s{0,4}:"),
        (
            "credential",
            (
                r"\b(print|send|reveal|exfiltrate|upload|post|show|echo|leak|dump|write)\b.{0,60}"
                r"\b(token|secret|password|credential|api.?key|private key|env(ironment)? variable|environ)"
            ),
        ),
        ("credential", r"\b(cat|read|open|copy)\b.{0,40}(/etc/|~/|\.\./|\.ssh|\.netrc|\.env\b|id_rsa|/proc/)"),
        (
            "judge",
            (
                r"\b(disable|skip|weaken|bypass|remove|delete|loosen|turn off|comment out|xfail)\b.{0,60}"
                r"\b(gate|polic(y|ies)|pipeline|check|test|lint(er)?|scanner|review|approval)s?\b"
            ),
        ),
        ("judge", r"\b(edit|change|modify|update|overwrite)\b.{0,40}(policies/|\.gitlab-ci|agents\.md|claude|\.mcp)"),
        ("forged", r"^[> \t]{0,8}(factory-[a-z]{2,20}|signed-off-by|co-authored-by|answer|question):"),
        (
            "forged",
            r"^[> \t]{0,8}/(close|reopen|merge|approve|label|relabel|unlabel|assign|rebase|move|confidential)\b",
        ),
        ("forged", r"\bfactory::[a-z]"),
        ("command", r"\b(curl|wget)\b.{0,200}\|\s{0,4}(ba|z|da)?sh\b"),
        ("command", r"\brm -rf\b|\bgit push\b|\bnohup\b|\bcrontab\b"),
        ("encoded", r"[a-z0-9+/]{100}"),
        ("encoded", r"((\\x|\\u00|%)[0-9a-f]{2}|&#x?[0-9a-f]{2,6};){8}"),
        ("hidden", r"^ {0,3}\[[^\]\n]{0,100}\]: {0,4}(#|<>|\"|')"),
        ("hidden", r"<[a-z][^>]{0,200}\b(hidden|display: ?none|visibility: ?hidden|font-size: ?0|opacity: ?0)"),
        ("hidden", r"<(template|script|style|iframe|object|svg|math)\b"),
        ("scheme", r"\b(data|javascript|vbscript|file|blob):\S"),
        ("image", r"!\[[^\]\n]{0,300}\]\([^)\s]{0,500}\?|<img\b"),
        ("host", r"[a-z]://([^/\s]{0,200}@|\[|\d{1,3}(\.\d{1,3}){3}\b|[^/\s]{0,200}(xn--|[^\x00-\x7f]|:\d))"),
        ("host", r"\b(webhook\.site|requestbin|ngrok|pastebin\.com|interact\.sh|oast\.|burpcollaborator|transfer\.sh)"),
    )
)
_LINKED = re.compile(r"(?i)\b(?:[a-z][a-z0-9+.-]{1,12}://|data:|javascript:|mailto:)[^\s<>()\[\]\"'`]{1,2000}")


def clean(text: str) -> str:
    """Return the text in NFC with newlines as line ends, without invisible characters and HTML comments.

    Cleaning a cleaned text does not change it.
    """
    lines = _LINE_END.sub("\n", _INVISIBLE.sub("", text))
    shown = "".join(c for c in lines if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"})
    # Without its comments, the text may contain a new comment.
    return unicodedata.normalize("NFC", _COMMENT.sub("", shown).replace("<!--", "<! --")).strip()


def warnings(original: str, cleaned: str) -> tuple[str, ...]:
    """Return the sorted names of what is suspicious in a text; ``original`` is the text before cleaning."""
    found = set(_of(cleaned))
    if _INVISIBLE.search(_EMOJI.sub("", original)):
        found.add("invisible")
    if "<!--" in _INVISIBLE.sub("", original):
        found.add("hidden")
    return tuple(sorted(found))


def links(text: str) -> tuple[str, ...]:
    """Return the first 50 different links of a text in their order, each cut to 300 characters."""
    found = dict.fromkeys(match[0].rstrip(".,;:!?*_")[:_LINK] for match in _LINKED.finditer(text))
    return tuple(found)[:_LINKS]


def _of(text: str) -> Iterator[str]:
    folded = unicodedata.normalize("NFKC", text).translate(_ALIKE).lower()
    spread = re.sub(r"\s+", " ", folded)
    yield from (name for name, shape in _SHAPES if shape.search(folded) or shape.search(spread))
    if any(_mixed(word[0]) for word in _WORD.finditer(text) if not word[0].isascii()):
        yield "mixed-script"


def _mixed(word: str) -> bool:
    """Return whether a word mixes letters of two scripts with look-alike letters."""
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in word}
    return len(scripts & set(_MIXABLE)) > 1
