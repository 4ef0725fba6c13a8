"""What must not be read by others, and is told by its look: in words of a command line, in logs and in errors."""

import re

# Up to the last @ before the path, as RFC 3986, section 3.2.1, has it; a password may have an @ that nobody escaped.
USERINFO = re.compile(r"(?<=://)[^/\s?#'\"]+(?=@)")
# What libraries of AWS and Azure write when they tell all: a session token as a header, and a signed address.
_TOKEN = re.compile(r"(x-amz-security-token(?:['\"]?\s*[:=]\s*(?:b?['\"])?|%3D)|[?&]sig=)[^\s'\"&,}]+", re.IGNORECASE)
_HIDDEN = "(hidden)"


def without_secrets(text: str) -> str:
    """Return *text* without users and passwords in addresses, session tokens and signatures."""
    text = USERINFO.sub(_HIDDEN, text) if "@" in text else text
    return _TOKEN.sub(rf"\g<1>{_HIDDEN}", text)
