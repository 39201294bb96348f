"""How Flower finds our Celery's keys in Redis: the prefix of common/queue.py. docker-compose.yml mounts it."""

broker_transport_options = {"global_keyprefix": "celery:"}
