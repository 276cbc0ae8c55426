"""Topic aliases: what is sent as topic, and when."""

from __future__ import annotations

from edge_agent.uplink.connection.alias import TopicAliases


def test_a_topic_goes_in_full_until_the_broker_took_a_message_with_its_alias() -> None:
    aliases = TopicAliases(10)
    assert aliases.of("a") == ("a", 1)
    aliases.sent(7, "a")
    assert aliases.of("a") == ("a", 1)
    aliases.sent(8, "a")
    aliases.answered(7, accepted=False)
    assert aliases.of("a") == ("a", 1), "a refused message may not have taught it"
    aliases.answered(8, accepted=True)
    assert aliases.of("a") == ("", 1)
    assert aliases.of("b") == ("b", 2)


def test_no_more_aliases_are_used_than_are_allowed() -> None:
    aliases = TopicAliases(1)
    assert aliases.of("a") == ("a", 1)
    assert aliases.of("b") == ("b", 0)
    assert TopicAliases(0).of("a") == ("a", 0)
