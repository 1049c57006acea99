"""An OIDC issuer for development: demo people, service accounts and a make-believe CI.

It serves the first-run experience and tests. It listens on loopback only, and the gateway refuses
to run it beside a configured issuer.
"""
