"""Drives a JSM site by PyPI's atlassian-python-api. Usage: service_desk.py cloud|datacenter URL USER TOKEN."""

import sys
import tempfile

from atlassian import ServiceDesk
from requests import HTTPError

product, url, user, token = sys.argv[1:]
cloud = product == "cloud"
if cloud:
    desk = ServiceDesk(url=url, username=user, password=token, cloud=True)
else:
    desk = ServiceDesk(url=url, token=token)


def people_as(people):
    return {"list_of_accountids": people} if cloud else {"list_of_usernames": people}


def members_as(people):
    return {"account_list": people} if cloud else {"users_list": people}


def refused(status, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except HTTPError as error:
        found = error.response.status_code if error.response is not None else None
        assert found == status, f"{call.__name__}: {found} instead of {status}: {error}"
        return
    except Exception as error:  # the client wraps some refusals in classes of its own
        cause = error.__cause__ or getattr(error, "reason", None)
        found = getattr(getattr(cause, "response", None), "status_code", None)
        assert found == status, f"{call.__name__}: {found} instead of {status}: {error!r}"
        return
    raise AssertionError(f"{call.__name__} was not refused")


def everything(page_of):
    found, start = [], 0
    while True:
        page = page_of(start)
        found += page["values"]
        if page["isLastPage"]:
            return found
        start += len(page["values"])


assert desk.get_info()["version"]
assert [one["projectKey"] for one in desk.get_service_desks(limit=1)] == ["HELP", "CUST"]

people = []
for name in ("dan", "eva", "fay"):
    made = desk.create_customer(f"{name} of clients", f"{name}@clients.example")
    people.append(made["accountId"] if cloud else made["name"])
refused(400, desk.create_customer, "dan again", "dan@clients.example")

before = len(everything(lambda start: desk.get_customers("10", start=start, limit=2)))
desk.add_customers("10", **people_as(people))
assert len(everything(lambda start: desk.get_customers("10", start=start, limit=2))) == before + 3
assert [one["emailAddress"] for one in desk.get_customers("10", query="eva@")["values"]] == ["eva@clients.example"]
desk.remove_customers("10", **people_as(people[2:]))
refused(400, desk.remove_customers, "1", **people_as(people[2:]))

organization = desk.create_organization("Python Clients")["id"]
assert desk.create_organization("Python Clients")["id"] == organization
desk.add_organization("10", int(organization))
desk.add_users_to_organization(organization, **members_as(people))
desk.remove_users_from_organization(organization, **members_as(people[2:]))
members = everything(lambda start: desk.get_users_in_organization(organization, start=start, limit=1))
assert len(members) == 2, members
assert organization in [one["id"] for one in everything(lambda start: desk.get_organisations("10", start=start))]
desk.remove_organization("10", int(organization))
assert desk.get_organization(organization)["name"] == "Python Clients"
desk.delete_organization(organization)
refused(404, desk.get_organization, organization)

values = {"summary": "It is slow", "description": "Since Monday."}
raised = desk.create_customer_request("10", "101", values, **({"raise_on_behalf_of": people[0]} if cloud else {}))
key = raised["issueKey"]
desk.create_request_comment(key, "We look into it.")
if cloud:
    assert [said["body"] for said in desk.get_request_comments(key)] == ["We look into it."]
    desk.add_request_participants(key, account_list=[people[1]])
    assert len(desk.get_request_participants(key)) == 1
    desk.remove_request_participants(key, account_list=[people[1]])
    assert desk.get_customer_request_status(key)
    assert desk.get_request_type_fields("10", "101")["requestTypeFields"]
with tempfile.NamedTemporaryFile(suffix=".txt") as file:
    file.write(b"a log")
    file.flush()
    desk.create_attachment("10", key, file.name)
assert desk.get_customer_request(key)["issueKey"] == key
refused(404, desk.get_customer_request, "CUST-77")
stranger = ServiceDesk(url=url, username=user, password="worth nothing", cloud=cloud)
refused(401, stranger.get_organisations)
print("atlassian-python-api: done")
