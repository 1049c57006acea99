"""`python -m tests.providers.canaille_server CONFIGURATION`: Canaille, in memory, for these tests.

CONFIGURATION is JSON: `port`, `callback`, `audience`, `cli`, `web`, `service` with its `secret`,
`signing` with its public `key`, and `people` with their `password`. SIGHUP makes a new signing key;
the former stays published.
"""

from __future__ import annotations

import json
import signal
import sys
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def new_key() -> dict[str, Any]:
    key = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
    return dict(key.as_dict(private=True))


def populate(told: dict[str, Any]) -> None:
    save = Backend.instance.save
    people = [
        models.User(
            user_name=name,
            formatted_name=name.title(),
            family_name=name.title(),
            emails=[f"{name}@example.com"],
            password=told["password"],
        )
        for name in told["people"]
    ]
    for person in people:
        save(person)
    save(models.Group(display_name="data-science", members=people))
    # Clients whose address is trusted need no page that asks for consent.
    common = {"client_uri": f"http://127.0.0.1:{told['port']}", "client_name": "Studbook"}
    # Tokens are made out to clients, so the gateway is one, that nobody logs in through.
    gateway = models.Client(
        **common,
        client_id=told["audience"],
        client_secret=told["secret"],
        token_endpoint_auth_method="client_secret_basic",
        grant_types=[],
    )
    save(gateway)
    cli = models.Client(
        **common,
        client_id=told["cli"],
        token_endpoint_auth_method="none",
        redirect_uris=[told["callback"]],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        scope=["openid", "profile", "groups"],
    )
    save(cli)
    # ID tokens have the same audience, and have to name the client that they are made out to.
    cli.audience = [cli, gateway]
    save(cli)
    web = models.Client(
        **common,
        **told["web"],
        token_endpoint_auth_method="client_secret_basic",
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        scope=["openid", "profile", "groups"],
    )
    save(web)
    web.audience = [web, gateway]
    save(web)
    service = {"grant_types": ["client_credentials"], "audience": [gateway], **common}
    save(
        models.Client(
            **service,
            client_id=told["service"],
            client_secret=told["secret"],
            token_endpoint_auth_method="client_secret_basic",
        )
    )
    save(
        models.Client(
            **service,
            client_id=told["signing"],
            jwks=json.dumps({"keys": [told["key"]]}),
            token_endpoint_auth_method="private_key_jwt",
        )
    )


def main() -> None:
    told = json.loads(sys.argv[1])
    app = create_app(
        {
            "SECRET_KEY": "of-these-tests",
            "SERVER_NAME": f"127.0.0.1:{told['port']}",
            "PREFERRED_URL_SCHEME": "http",
            # The default of ten days is longer than the gateway lets a token live.
            "OAUTH2_TOKEN_EXPIRES_IN": dict.fromkeys(
                ("authorization_code", "refresh_token", "client_credentials"), 3600
            ),
            "CANAILLE": {"DATABASE": "memory"},
            "CANAILLE_OIDC": {"ACTIVE_JWKS": [new_key()]},
        }
    )
    keys = app.config["CANAILLE_OIDC"]

    def rotate(*_: object) -> None:
        keys["INACTIVE_JWKS"] = keys["ACTIVE_JWKS"]
        keys["ACTIVE_JWKS"] = [new_key()]

    with app.app_context():
        populate(told)
    signal.signal(signal.SIGHUP, rotate)
    with make_server("127.0.0.1", told["port"], app, _Server, _Quiet) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
