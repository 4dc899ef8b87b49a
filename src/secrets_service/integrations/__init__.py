"""Connection pools, frameworks and metrics: each module here needs the package that it is named after.

| module | what it does |
|---|---|
| `sqlalchemy`, `psycopg`, `asyncpg`, `django` | pools whose credentials rotate, with no query failing for it |
| `fastapi`, `flask` | the service as a part of the application, and whether it is ready |
| `prometheus` | counters and leases as metrics |

``pip install secrets-service[sqlalchemy]`` brings what a module needs. Nothing is imported before it is asked for.
"""
