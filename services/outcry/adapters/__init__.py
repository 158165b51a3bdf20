"""Who keeps the promises of ``outcry.ports``: one package per technology."""
