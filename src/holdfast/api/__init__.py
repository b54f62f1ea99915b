"""The HTTP door: routes that are thin views over the services; see ``app.create_app``."""
