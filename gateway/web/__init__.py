"""The gateway's pages: login in the browser, sessions, and what people see of themselves."""
