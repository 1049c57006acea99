"""The settings of the gateway's pages, part of the gateway's."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import Field, FilePath, field_validator
from pydantic_settings import BaseSettings

from service_chassis.service_settings import is_loopback, is_loopback_host

if TYPE_CHECKING:
    from pydantic import ValidationInfo

_NEEDED = "is needed with web_listen"


class WebSettings(BaseSettings):
    """What the pages need to know."""

    web_listen: str = Field(
        "",
        pattern=r"^$|^.+:\d{1,5}$",
        description="Address to serve pages on, `host:port`, with the same certificate as "
        "`listen` beyond loopback. Empty: nowhere.",
    )
    web_public_url: str = Field(
        "",
        validate_default=True,
        description="Where browsers find the pages, `https://host` or `https://host:port`; "
        "requests for any other host are refused. Default: `http://` and web_listen, on loopback "
        "only.",
    )
    web_key_file: FilePath | None = Field(
        None,
        validate_default=True,
        description="Keys that seal cookies and the tokens of sessions, one a line, the same for "
        "all replicas. The first seals, all open: put a new one first to change keys.",
    )
    web_database_url: str = Field(
        "",
        validate_default=True,
        description="SQLAlchemy URL of the database of sessions, the same for all replicas: "
        "`sqlite:////path/file.db` or `postgresql://user@host/name`.",
    )
    web_session_hours: float = Field(
        12.0, gt=0, le=720, description="When a session ends at the latest, after the login."
    )

    @field_validator("web_public_url")
    @classmethod
    def _is_an_origin(cls, url: str, info: ValidationInfo) -> str:
        listen = info.data.get("web_listen", "")
        if not url:
            if listen and not is_loopback(listen):
                message = f"{_NEEDED} beyond loopback: what browsers have in their address line"
                raise ValueError(message)
            return f"http://{listen}" if listen else ""
        parts = urlsplit(url)
        secure = parts.scheme == "https" or (
            parts.scheme == "http" and is_loopback_host(parts.hostname or "")
        )
        # Browsers compare what they send with exactly this.
        if not secure or url != f"{parts.scheme}://{parts.netloc}".lower() or "@" in url:
            message = (
                f'"{url}" must be https://host or https://host:port in small letters, without a '
                "path; http is for loopback only, as browsers keep secure cookies for https"
            )
            raise ValueError(message)
        return url

    @field_validator("web_key_file", "web_database_url")
    @classmethod
    def _is_there(cls, value: object, info: ValidationInfo) -> object:
        if info.data.get("web_listen") and not value:
            raise ValueError(_NEEDED)
        return value
