"""The ground that the tests stand on: a real conda channel, a loopback server, the project's real commands."""
