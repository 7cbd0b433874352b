"""Redis and Valkey: a home of keys per thread, one script per operation.

Import from the modules: `backend` has the engine, `url` what a URL says. redis-py is imported when a store is opened.
"""
