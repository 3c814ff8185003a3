"""Who may see the pages: accounts, the login, sessions, and the gate before every route."""
