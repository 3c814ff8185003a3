"""Real peers for tests: Orthanc, Redis and PostgreSQL, each on a free port with a temporary folder.

Nothing here is a fake. A peer that this machine lacks skips the tests that need it and says what to
install.
"""
