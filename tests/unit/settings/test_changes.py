"""How often settings were changed is told by one number, for what is made of them."""

from __future__ import annotations

import pytest

from celeriac.exceptions import ImproperlyConfigured
from celeriac.settings import Settings


def test_each_change_is_counted():
    conf = Settings(task_serializer="json")
    numbers = [conf.times_changed]
    conf.task_serializer = "yaml"
    numbers.append(conf.times_changed)
    conf.update(task_default_priority=3)
    numbers.append(conf.times_changed)
    del conf.task_serializer
    numbers.append(conf.times_changed)
    assert sorted(set(numbers)) == numbers
    assert list(conf) == ["task_default_priority"]


def test_no_setting_can_be_called_as_the_number_of_changes():
    with pytest.raises(ImproperlyConfigured, match="cannot be the name of a setting"):
        Settings(times_changed=5)
