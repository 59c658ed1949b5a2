"""Actions: what is sent, and how an answer or a refusal is read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.world.gateway.upnp import actions, soap
from pairingd.world.gateway.upnp.actions import TCP, Forward, Status
from pairingd.world.gateway.upnp.markup import BadAnswer, elements
from pairingd.world.gateway.upnp.soap import Fault, Service

WAN = Service("urn:schemas-upnp-org:service:WANPPPConnection:2", "http://192.168.1.1:5000/ctl")


def answer(action: str, **values: str) -> str:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    return f"<s:Envelope><s:Body><u:{action}Response>{inner}</u:{action}Response></s:Body></s:Envelope>"


def test_a_request_names_its_action_and_escapes_its_arguments() -> None:
    call = actions.add_forward(WAN, Forward(22, TCP, "192.168.1.10", 50111, "a <b> & c", 600))
    assert (call.method, call.url) == ("POST", WAN.control_url)
    assert call.headers["SOAPAction"] == f'"{WAN.type}#AddPortMapping"'
    sent = next(element for element in elements(call.body) if element.name == "AddPortMapping")
    assert sent.children == {
        "NewRemoteHost": "",
        "NewExternalPort": "22",
        "NewProtocol": "TCP",
        "NewInternalPort": "50111",
        "NewInternalClient": "192.168.1.10",
        "NewEnabled": "1",
        "NewPortMappingDescription": "a <b> & c",
        "NewLeaseDuration": "600",
    }


def test_a_service_s_type_stays_in_its_attribute_and_quotes_in_an_argument_stay_themselves() -> (
    None
):
    odd = Service('urn:odd" more="', "http://192.168.1.1/ctl")
    body = soap.call(odd, "Say", lambda values: values, {"What": 'it\'s "this"'}).body
    assert '<u:Say xmlns:u="urn:odd&quot; more=&quot;">' in body
    assert '<What>it\'s "this"</What>' in body


def test_answers_are_typed() -> None:
    status = answer("GetStatusInfo", NewConnectionStatus="Connected", NewUptime=" 7 ")
    assert actions.status(WAN).read(status) == Status("Connected", 7)
    row = {
        "NewInternalClient": "192.168.1.10",
        "NewInternalPort": "80",
        "NewPortMappingDescription": " a &amp; b ",
        "NewLeaseDuration": "-1",
    }
    expected = Forward(22, "TCP", "192.168.1.10", 80, "a & b", 0)
    read = actions.forward_of(WAN, 22).read
    assert read(answer("GetSpecificPortMappingEntry", **row)) == expected
    row |= {"NewExternalPort": "22", "NewProtocol": "TCP"}
    assert actions.forward_at(WAN, 0).read(answer("GetGenericPortMappingEntry", **row)) == expected


NO_NUMBERS = ["x", "1e3", "\u0664", "9" * 5000, "1 2"]


@pytest.mark.parametrize("time", [*NO_NUMBERS, "", "infinite", "0:10:00"])
def test_a_time_that_is_no_number_is_not_reported(time: str) -> None:
    assert actions.status(WAN).read(answer("GetStatusInfo", NewUptime=time)).uptime == 0


@pytest.mark.parametrize(
    ("number", "seconds"),
    [("-1", 0), ("4294967295", 2**31 - 1), ("600", 600), ("599.5", 599), ("600.", 600)],
)
def test_a_time_is_read_as_the_nearest_that_is_possible(number: str, seconds: int) -> None:
    read = actions.forward_of(WAN, 22).read
    assert read(answer("GetSpecificPortMappingEntry", NewLeaseDuration=number)).lease == seconds


@pytest.mark.parametrize("port", [*NO_NUMBERS, "-1", "65536", "9999999999", "80-80"])
def test_an_invalid_port_is_refused(port: str) -> None:
    with pytest.raises(BadAnswer, match="NewExternalPort"):
        actions.forward_at(WAN, 0).read(answer("GetGenericPortMappingEntry", NewExternalPort=port))


@pytest.mark.parametrize(
    ("code", "read"), [("606", 606), (" 714 ", 714), ("", 0), ("x", 0), ("7" * 5000, 0)]
)
def test_a_fault_has_a_code_or_none(code: str, read: int) -> None:
    with pytest.raises(Fault) as caught:
        soap.output(f"<s:Fault><e:errorCode>{code}</e:errorCode></s:Fault>", "Do")
    assert caught.value.code == read


def test_a_fault_without_a_code_is_one() -> None:
    with pytest.raises(Fault):
        soap.output("<s:Envelope><s:Fault/></s:Envelope>", "Do")


def test_the_answer_to_another_action_is_refused() -> None:
    with pytest.raises(BadAnswer, match="not one to Do"):
        soap.output(answer("Undo"), "Do")


def test_an_argument_may_have_attributes() -> None:
    text = '<u:DoResponse><NewA dt:dt="ui2">1</NewA><ns:NewB/></u:DoResponse>'
    assert soap.output(text, "Do") == {"NewA": "1", "NewB": ""}


@given(st.text() | st.text().map(lambda text: f"<a><DoResponse>{text}</DoResponse></a>"))
def test_no_answer_raises_anything_else(text: str) -> None:
    with contextlib.suppress(BadAnswer, Fault):
        soap.output(text, "Do")
