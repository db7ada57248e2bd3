// Drives a JSM site by npm's jira.js. Usage: node jira.mjs cloud|datacenter URL USER TOKEN. Ends with 0 when all is as it has to be.
import assert from "node:assert/strict";
import { ServiceDeskClient } from "jira.js";

const [product, host, email, apiToken] = process.argv.slice(2);
const cloud = product === "cloud";
const options = { authentication: { basic: { email, apiToken } } };
// Data Center wants to be told that a caller knows what is experimental; the client tells Cloud by itself.
if (!cloud) options.baseRequestConfig = { headers: { "X-ExperimentalApi": "opt-in" } };
const client = new ServiceDeskClient({ host, ...options });

async function refused(status, promise) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.status ?? error.response?.status, status, error.message);
    return true;
  });
}

async function everything(list) {
  const found = [];
  for (let start = 0; ; ) {
    const page = await list({ start, limit: 2 });
    found.push(...page.values);
    assert.equal(page.size, page.values.length);
    if (page.isLastPage) return found;
    start += page.values.length;
  }
}

async function customers() {
  assert.ok((await client.info.getInfo()).version);
  if (!cloud) {
    await refused(400, client.customer.createCustomer({ email: "a@example.com", displayName: "No full name" }));
    const people = ["carla@example.com", "chen@example.com", "cleo@example.com"];
    await client.serviceDesk.addCustomers({ serviceDeskId: "10", usernames: people });
    return people;
  }
  const people = [];
  for (const name of ["ada", "ben", "cyd"]) {
    const made = await client.customer.createCustomer({ email: `${name}@clients.example`, displayName: name });
    assert.match(made.accountId, /^qm:/);
    people.push(made.accountId);
  }
  await refused(400, client.customer.createCustomer({ email: "ada@clients.example", displayName: "ada again" }));
  await refused(400, client.customer.createCustomer({ email: "no address", displayName: "ada" }));
  await client.serviceDesk.addCustomers({ serviceDeskId: "10", accountIds: people });
  await refused(400, client.serviceDesk.addCustomers({ serviceDeskId: "10", accountIds: ["qm:nobody"] }));
  return people;
}

async function desks(people) {
  const listed = await everything((page) => client.serviceDesk.getServiceDesks(page));
  assert.deepEqual(listed.map((desk) => desk.projectKey), ["HELP", "CUST"]);
  const found = await everything((page) => client.serviceDesk.getCustomers({ serviceDeskId: "10", ...page }));
  assert.equal(found.length, people.length);
  const kinds = await everything((page) => client.serviceDesk.getRequestTypes({ serviceDeskId: 10, ...page }));
  assert.equal(kinds.length, 2);
  await refused(404, client.serviceDesk.getServiceDeskById({ serviceDeskId: "77" }));
  const gone = cloud ? { accountIds: people.slice(2) } : { usernames: people.slice(2) };
  await client.serviceDesk.removeCustomers({ serviceDeskId: "10", ...gone });
  await refused(400, client.serviceDesk.removeCustomers({ serviceDeskId: "1", ...gone }));
}

async function organizations(people) {
  const names = ["Clients A", "Clients B", "Clients C"];
  const made = [];
  for (const name of names) made.push(await client.organization.createOrganization({ name }));
  assert.equal((await client.organization.createOrganization({ name: names[0] })).id, made[0].id);
  const listed = await everything((page) => client.organization.getOrganizations(page));
  assert.deepEqual(listed.map((one) => one.name), names);
  const organizationId = Number(made[0].id);
  await client.organization.addOrganization({ serviceDeskId: "10", organizationId });
  const linked = await client.organization.getServiceDeskOrganizations({ serviceDeskId: "10" });
  assert.deepEqual(linked.values.map((one) => one.name), [names[0]]);
  if (cloud) {
    await client.organization.addUsersToOrganization({ organizationId, accountIds: people });
    await client.organization.removeUsersFromOrganization({ organizationId, accountIds: people.slice(2) });
    const members = await everything((page) => client.organization.getUsersInOrganization({ organizationId, ...page }));
    assert.equal(members.length, 2);
    const mine = await client.organization.getOrganizations({ accountId: people[0] });
    assert.equal(mine.size, 1);
    const property = { organizationId: made[0].id, propertyKey: "clients" };
    await client.organization.setProperty({ ...property, propertyValue: { seen: true } }).catch(() => {});
    await client.organization.getPropertiesKeys({ organizationId: made[0].id });
  }
  await client.organization.deleteOrganization({ organizationId: Number(made[2].id) });
  await refused(404, client.organization.getOrganization({ organizationId: Number(made[2].id) }));
}

async function requests(people) {
  const requestFieldValues = { summary: "It is slow", description: "Since Monday." };
  const draft = { serviceDeskId: "10", requestTypeId: "101", requestFieldValues };
  if (cloud) draft.raiseOnBehalfOf = people[0];
  const raised = await client.request.createCustomerRequest(draft);
  const issueIdOrKey = raised.issueKey;
  const found = await client.request.getCustomerRequestByIdOrKey({ issueIdOrKey });
  assert.equal(found.requestFieldValues.find((field) => field.fieldId === "summary").value, "It is slow");
  await client.request.createRequestComment({ issueIdOrKey, body: "We look into it.", public: true });
  const said = await client.request.getRequestComments({ issueIdOrKey });
  assert.deepEqual(said.values.map((comment) => comment.body), ["We look into it."]);
  const attachment = { filename: "a log.txt", file: Buffer.from("a log") };
  const files = await client.serviceDesk.attachTemporaryFile({ serviceDeskId: "10", attachment });
  const temporaryAttachmentIds = files.temporaryAttachments.map((file) => file.temporaryAttachmentId);
  await client.request.createAttachment({ issueIdOrKey, temporaryAttachmentIds, public: true });
  if (cloud) {
    await client.request.addRequestParticipants({ issueIdOrKey, accountIds: [people[1]] });
    assert.equal((await client.request.getRequestParticipants({ issueIdOrKey })).size, 1);
    await client.request.removeRequestParticipants({ issueIdOrKey, accountIds: [people[1]] });
    assert.equal((await client.request.getCustomerRequestStatus({ issueIdOrKey })).size, 1);
    assert.equal((await client.request.getAttachmentsForRequest({ issueIdOrKey })).size, 1);
  }
  await refused(404, client.request.getCustomerRequestByIdOrKey({ issueIdOrKey: "CUST-77" }));
  await refused(400, client.request.createCustomerRequest({ ...draft, requestTypeId: "7" }));
}

async function strangers() {
  const stranger = new ServiceDeskClient({ host, authentication: { basic: { email, apiToken: "worth nothing" } } });
  await refused(401, stranger.organization.getOrganizations());
}

const people = await customers();
await desks(people);
await organizations(people);
await requests(people);
await strangers();
console.log("jira.js: done");
