"""Show settings without their secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from celeriac.settings.names import FIELDS

HIDDEN: Final = "********"
"""What stands in the place of a secret."""

# Texts, which `re` compiles when they are first used and keeps: few programs show settings.
_HIDDEN_NAMES: Final = (
    r"(?i)(^|_|-)(password|passwd|passphrase|secret|token|credentials?|api_?key|access_?key|private_?key|signature"
    r")(_|-|$)"
)
# A password may hold any sign that is not percent-encoded as it should be; hiding too much is better than too little.
_URL_USERINFO: Final = r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^:/?#\s@;]*):[^\s;]*@"
_URL_QUERY: Final = r"(?i)(?P<name>[?&][^=&\s;]*(?:password|secret|token|key)[^=&\s;]*)=[^&\s;]*"


def without_password(url: str) -> str:
    """Return the text with the passwords of all URLs in it hidden."""
    shown = re.sub(_URL_USERINFO, rf"\g<scheme>\g<user>:{HIDDEN}@", url)
    return re.sub(_URL_QUERY, rf"\g<name>={HIDDEN}", shown)


def censored(name: str, value: Any) -> Any:
    """Return the value of a setting, or of a key within one, as it may be shown."""
    if value is None or isinstance(value, bool | int | float):
        return value if not re.search(_HIDDEN_NAMES, name) or value is None else HIDDEN
    if isinstance(value, Mapping):
        return {key: censored(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([censored(name, item) for item in value])
    if isinstance(value, str) and "://" in value:
        return without_password(value)
    field = FIELDS.get(name)
    if re.search(_HIDDEN_NAMES, name) or (field is not None and field.secret and "://" not in str(value)):
        return HIDDEN
    return value
