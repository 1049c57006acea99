"""The door: verifies who calls, decides by the contract's access rules, forwards the bytes."""
