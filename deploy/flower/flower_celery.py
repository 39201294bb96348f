"""How Flower finds our Celery's keys in Redis: the prefix of common/process/broker.py. docker-compose.yml mounts it."""

broker_transport_options = {"global_keyprefix": "celery:"}
