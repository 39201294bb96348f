"""Celery beat: the schedule, as one table. Two of them change nothing."""
