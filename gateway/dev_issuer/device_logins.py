"""Logins of devices without a browser that wait for somebody to confirm them elsewhere."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authlib.oauth2.rfc8628 import DeviceCredentialMixin

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.dev_issuer.clients import Account

LIFETIME_S = 600
# What a client that asks too often has to add to its interval (RFC 8628, section 3.5).
_SLOWER_S = 5
_MOST_PENDING = 1000


@dataclass
class DeviceLogin(DeviceCredentialMixin):
    """One login of a device: what it asked for, and what somebody answered."""

    client_id: str
    scope: str
    user_code: str
    interval_s: float
    expires_at: float
    family: str = field(default_factory=lambda: secrets.token_hex(16))
    # Set once, by whoever enters the code: who that was, or nobody for a refusal.
    answer: tuple[Account | None, bool] | None = None
    asked_at: float | None = None

    def get_client_id(self) -> str:
        """The client that asked."""
        return self.client_id

    def get_scope(self) -> str:
        """The scope that it asked for."""
        return self.scope

    def get_user_code(self) -> str:
        """The code that is shown on the device."""
        return self.user_code

    def is_expired(self) -> bool:
        """Whether the time for answering is over."""
        return time.time() >= self.expires_at


class DeviceLogins:
    """The logins under way, by the device's code and by the code for people.

    Args:
        now: A clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._by_device_code: OrderedDict[str, DeviceLogin] = OrderedDict()
        self._lock = threading.Lock()
        self._now = now

    def add(self, device_code: str, login: DeviceLogin) -> None:
        """Keep a login; the oldest goes when there are too many."""
        with self._lock:
            self._by_device_code[device_code] = login
            while len(self._by_device_code) > _MOST_PENDING:
                self._by_device_code.popitem(last=False)

    def find(self, device_code: str) -> DeviceLogin | None:
        """The login that a device asks about."""
        with self._lock:
            return self._by_device_code.get(device_code)

    def pending(self, user_code: str) -> DeviceLogin | None:
        """The login whose code somebody has typed, unless it is over or was answered."""
        wanted = normalised(user_code)
        with self._lock:
            for login in self._by_device_code.values():
                if normalised(login.user_code) == wanted:
                    return None if login.is_expired() or login.answer else login
        return None

    def answer(self, login: DeviceLogin, account: Account | None) -> bool:
        """Let somebody in, or nobody. False when it was answered before."""
        with self._lock:
            if login.answer is not None:
                return False
            login.answer = account, account is not None
            return True

    def take_answer(self, user_code: str) -> tuple[Account | None, bool] | None:
        """What was answered, which also ends the login: tokens are given out once."""
        with self._lock:
            for device_code, login in self._by_device_code.items():
                if login.user_code == user_code and login.answer is not None:
                    del self._by_device_code[device_code]
                    return login.answer
        return None

    def asks_too_often(self, login: DeviceLogin) -> bool:
        """Whether the device asks sooner than it may; if so it has to wait longer from now on."""
        with self._lock:
            before, login.asked_at = login.asked_at, self._now()
            if before is None or login.asked_at - before >= login.interval_s:
                return False
            login.interval_s += _SLOWER_S
            return True


def normalised(user_code: str) -> str:
    """A code as it is compared: people type it in small letters and leave out the hyphen."""
    return "".join(filter(str.isalnum, user_code)).upper()
