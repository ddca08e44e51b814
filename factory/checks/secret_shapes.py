"""The shapes of secrets that show by themselves: private keys, the services' tokens, passwords in URLs and in headers.

The prefixes and lengths are those of the services' own documentation.
"""

import re

_SERVICES = (
    r"\bcf(?:k|at|ut)_[A-Za-z0-9]{40}",
    r"\bv1\.0-[0-9a-f]{24}-[0-9a-f]{146}",
    r"\bnpm_[A-Za-z0-9]{36}",
    r"\bpypi-AgE[\w-]{50,}",
    r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{20,}",
    r"\bwhsec_[A-Za-z0-9+/=]{24,}",
    r"\bhf_[A-Za-z0-9]{30,}",
    r"\bSG\.[\w-]{20,}\.[\w-]{40,}",
    r"\bSK[0-9a-f]{32}\b",
    r"\bdo[opr]_v1_[0-9a-f]{64}",
    r"\bdckr_[po]at_[\w-]{20,}",
    r"\bAGE-SECRET-KEY-(?:PQ-)?1[A-Z0-9]{50,}",
    r"\bxapp-\d-[A-Z0-9]{1,40}-\d{1,20}-[0-9a-f]{40,}",
    r"\b\d{8,10}:AA[\w-]{32,}",
    r"\bgl(?:sa|c)_[A-Za-z0-9+/=_]{32,}",
    r"\bsntry[su]_[A-Za-z0-9+/=_]{40,}",
    r"\bshp(?:at|ca|pa|ss)_[0-9a-f]{32}",
    r"\b[A-Za-z0-9]{14}\.atlasv1\.[\w-]{50,}",
    r"\bhooks\.slack\.com/services/T\w{1,20}/B\w{1,20}/\w{20,}",
    r"\bAccountKey=[A-Za-z0-9+/]{80,}==",
)
# OpenBao and older versions of Vault begin tokens with one letter, which a name in code may follow too.
_VAULT = r"\bhv[sbr]\.[\w-]{24,}|\b[sr]\.(?=[A-Za-z]*[0-9])[A-Za-z0-9]{24}\b|\bb\.AAAAAQ[\w-]{60,}"
# What stands for a password in an address that a page or a program shows.
_STANDS_FOR = r"password|passwd|pass|secret|token|xxx+|\*+|\.\.\.+"

SHAPES = (
    (
        "private-key",
        re.compile(
            r"-----BEGIN (?:[A-Z]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
            r"|---- BEGIN SSH2 (?:ENCRYPTED )?PRIVATE KEY ----|\bPuTTY-User-Key-File-\d"
        ),
    ),
    (
        "gitlab-token",
        re.compile(
            r"\bgl(?:pat|dt|rtr?|cbt|oas|ft|agent|soat|ptt|imt|wt|ffct)-[A-Za-z0-9_-]{16,}|\bGR1348941[A-Za-z0-9_-]{20}"
        ),
    ),
    ("aws-key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("github-token", re.compile(r"\b(?:gh[opsur]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})")),
    (
        "openai-key",
        re.compile(r"\bsk-(?:(?:proj|svcacct|admin|or-v1|ant)-[A-Za-z0-9_-]{24,}|[A-Za-z0-9]{24,})"),
    ),
    ("slack-token", re.compile(r"\bxox[abceoprsd][.-][A-Za-z0-9-]{20,}")),
    ("google-key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b|\bGOCSPX-[\w-]{20,}|\bya29\.[\w-]{30,}")),
    ("vault-token", re.compile(_VAULT)),
    ("jwt", re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")),
    (
        "url-password",
        re.compile(
            rf"\b[a-z][a-z0-9+.-]{{0,20}}://[^\s/?#:@]{{0,100}}:(?![$<%\[]|(?:{_STANDS_FOR})@)[^\s/?#@{{}}]{{6,200}}@"
        ),
    ),
    (
        "authorization",
        re.compile(r"(?i)\bauthorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic|token)\s+[a-z0-9+/_.=~-]{16,}"),
    ),
    ("service-token", re.compile("|".join(_SERVICES))),
)
