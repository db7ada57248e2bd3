//! Every documented call that this site answers is walked, under a contract that watches each call and each answer.

use std::collections::BTreeSet;

use super::*;

/// What of the documents this site does not have: for agents and builders of desks, never for customers or their directory.
const NOT_HERE: [&str; 24] = [
    "DELETE /rest/servicedeskapi/request/{issueIdOrKey}/notification",
    "DELETE /rest/servicedeskapi/request/{requestIdOrKey}/feedback",
    "DELETE /rest/servicedeskapi/servicedesk/{serviceDeskId}/requesttype/{requestTypeId}",
    "DELETE /rest/servicedeskapi/servicedesk/{serviceDeskId}/requesttype/{requestTypeId}/property/{propertyKey}",
    "GET /rest/servicedeskapi/insight/workspace",
    "GET /rest/servicedeskapi/request/{issueIdOrKey}/approval",
    "GET /rest/servicedeskapi/request/{issueIdOrKey}/approval/{approvalId}",
    "GET /rest/servicedeskapi/request/{issueIdOrKey}/comment/{commentId}/attachment",
    "GET /rest/servicedeskapi/request/{issueIdOrKey}/notification",
    "GET /rest/servicedeskapi/request/{issueIdOrKey}/sla",
    "GET /rest/servicedeskapi/request/{issueIdOrKey}/sla/{slaMetricId}",
    "GET /rest/servicedeskapi/request/{issueIdOrKey}/transition",
    "GET /rest/servicedeskapi/request/{requestIdOrKey}/feedback",
    "GET /rest/servicedeskapi/servicedesk/{serviceDeskId}/queue",
    "GET /rest/servicedeskapi/servicedesk/{serviceDeskId}/queue/{queueId}",
    "GET /rest/servicedeskapi/servicedesk/{serviceDeskId}/queue/{queueId}/issue",
    "GET /rest/servicedeskapi/servicedesk/{serviceDeskId}/requesttype/{requestTypeId}/property",
    "GET /rest/servicedeskapi/servicedesk/{serviceDeskId}/requesttype/{requestTypeId}/property/{propertyKey}",
    "POST /rest/servicedeskapi/request/{issueIdOrKey}/approval/{approvalId}",
    "POST /rest/servicedeskapi/request/{issueIdOrKey}/transition",
    "POST /rest/servicedeskapi/request/{requestIdOrKey}/feedback",
    "POST /rest/servicedeskapi/servicedesk/{serviceDeskId}/requesttype",
    "PUT /rest/servicedeskapi/request/{issueIdOrKey}/notification",
    "PUT /rest/servicedeskapi/servicedesk/{serviceDeskId}/requesttype/{requestTypeId}/property/{propertyKey}",
];

#[tokio::test]
async fn every_documented_call_is_walked_as_it_is_documented() {
    let site = Site::start().await;
    let Some(contract) = site.contract.clone() else { return };
    walk(&site).await;
    assert_eq!(contract.faults(), Vec::<String>::new());
    let missed: BTreeSet<String> = contract.documented().difference(&contract.walked()).cloned().collect();
    let not_here: BTreeSet<String> = NOT_HERE.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(missed, not_here);
}

/// Every call, once done and once refused.
async fn walk(site: &Site) {
    let said = async |method: Method, path: &str, body: Option<Value>, status: u16| {
        let call = site.admin(method.clone(), path);
        let call = if let Some(body) = &body { call.json(body) } else { call };
        let answer = call.send().await.unwrap();
        let found = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert_eq!(found, status, "{method} {path} {text}");
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    };
    let get = async |path: &str| said(Method::GET, path, None, 200).await;
    let (carla, chen) = (site.id_of(CARLA), site.id_of(CHEN));

    get("/info").await;
    let person = json!({"email": "new@example.com", "displayName": "New Person"});
    said(Method::POST, "/customer?strictConflictStatusCode=true", Some(person.clone()), 201).await;
    said(Method::POST, "/customer?strictConflictStatusCode=true", Some(person.clone()), 409).await;
    said(Method::POST, "/customer", Some(person), 400).await;
    let invited = json!({"email": "invited@example.com", "displayName": "Invited Person"});
    said(Method::POST, "/servicedesk/10/customer/invite", Some(invited.clone()), 201).await;
    said(Method::POST, "/servicedesk/10/customer/invite?strictConflictStatusCode=true", Some(invited.clone()), 409)
        .await;
    said(Method::POST, "/servicedesk/77/customer/invite", Some(invited), 404).await;
    let invited = site.id_of("invited@example.com");
    said(Method::PUT, &format!("/customer/user/{invited}/revoke-portal-only-access"), None, 204).await;
    said(Method::PUT, "/customer/user/qm:nobody/revoke-portal-only-access", None, 404).await;

    let people = Some(json!({"accountIds": [carla, chen]}));
    said(Method::POST, "/servicedesk/10/customer", people.clone(), 204).await;
    said(Method::POST, "/servicedesk/10/customer", Some(json!({"accountIds": ["qm:nobody"]})), 400).await;
    assert_eq!(get("/servicedesk/CUST/customer?query=example.com&start=0&limit=1").await["size"], 1);
    assert_eq!(get("/servicedesk/10/customer?start=1&limit=1").await["isLastPage"], true);
    said(Method::DELETE, "/servicedesk/10/customer", Some(json!({"accountIds": [chen]})), 204).await;
    said(Method::DELETE, "/servicedesk/1/customer", Some(json!({"accountIds": [chen]})), 400).await;

    let acme = said(Method::POST, "/organization", Some(json!({"name": "Acme"})), 201).await;
    let acme = acme["id"].as_str().unwrap();
    said(Method::POST, "/organization", Some(json!({"name": ""})), 400).await;
    let users = format!("/organization/{acme}/user");
    said(Method::POST, &users, people.clone(), 204).await;
    get(&format!("{users}?start=0&limit=1")).await;
    said(Method::DELETE, &users, Some(json!({"accountIds": [chen]})), 204).await;
    said(Method::GET, "/organization/77/user", None, 404).await;
    let link = Some(json!({"organizationId": acme.parse::<u64>().unwrap()}));
    said(Method::POST, "/servicedesk/10/organization", link.clone(), 204).await;
    get(&format!("/servicedesk/10/organization?accountId={}", html::percent(&carla))).await;
    assert_eq!(get(&format!("/organization?accountId={}&limit=1", html::percent(&carla))).await["size"], 1);
    get(&format!("/organization/{acme}")).await;
    let property = format!("/organization/{acme}/property/vestibule");
    said(Method::PUT, &property, Some(json!({"added": true})), 201).await;
    said(Method::PUT, &property, Some(json!({"added": false})), 200).await;
    get(&property).await;
    get(&format!("/organization/{acme}/property")).await;
    said(Method::DELETE, &property, None, 204).await;
    said(Method::GET, &property, None, 404).await;

    get("/servicedesk?start=0&limit=1").await;
    get("/servicedesk/HELP").await;
    said(Method::GET, "/servicedesk/77", None, 404).await;
    get("/servicedesk/1/requesttype?searchQuery=help&groupId=1&expand=field").await;
    get("/servicedesk/1/requesttype/11?expand=field").await;
    get("/servicedesk/1/requesttype/11/field").await;
    get("/servicedesk/1/requesttypegroup").await;
    get("/requesttype?serviceDeskId=10&searchQuery=incident").await;
    get("/knowledgebase/article?query=request&highlight=false").await;
    get("/servicedesk/1/knowledgebase/article?query=request").await;

    let part = reqwest::multipart::Part::text("a log").file_name("a log.txt").mime_str("text/plain").unwrap();
    let upload =
        site.admin(Method::POST, "/servicedesk/10/attachTemporaryFile").header("x-atlassian-token", "no-check");
    let upload = upload.multipart(reqwest::multipart::Form::new().part("file", part)).send().await.unwrap();
    assert_eq!(upload.status(), StatusCode::CREATED);
    let file = json_of(upload).await["temporaryAttachments"][0]["temporaryAttachmentId"].clone();

    let fields = json!({"summary": "It is slow", "description": "Since Monday."});
    let raised = json!({
        "serviceDeskId": "10", "requestTypeId": "101", "requestFieldValues": fields, "raiseOnBehalfOf": carla,
        "requestParticipants": [chen],
    });
    let key = said(Method::POST, "/request", Some(raised), 201).await["issueKey"].as_str().unwrap().to_owned();
    let wrong = json!({"serviceDeskId": "10", "requestTypeId": "7", "requestFieldValues": fields});
    said(Method::POST, "/request", Some(wrong), 400).await;
    get("/request?requestOwnership=ALL_REQUESTS&requestStatus=OPEN_REQUESTS&searchTerm=slow&start=0&limit=5").await;
    let everything = "participant,status,sla,requestType,serviceDesk,attachment,action,comment";
    let comment = json!({"body": "We look into it.", "public": true});
    let said_first = said(Method::POST, &format!("/request/{key}/comment"), Some(comment), 201).await;
    said(Method::POST, &format!("/request/{key}/comment"), Some(json!({"body": "Among us.", "public": false})), 201)
        .await;
    let attached = json!({
        "temporaryAttachmentIds": [file], "public": true, "additionalComment": {"body": "The log."},
    });
    let attached = said(Method::POST, &format!("/request/{key}/attachment"), Some(attached), 201).await;
    let content = attached["attachments"]["values"][0]["_links"]["content"].as_str().unwrap();
    let content = content.strip_prefix(&site.url(API)).unwrap().to_owned();
    assert_eq!(site.admin(Method::GET, &content).send().await.unwrap().text().await.unwrap(), "a log");
    assert_eq!(status_of(site.admin(Method::GET, &format!("{content}/thumbnail"))).await, 200);
    get(&format!("/request/{key}?expand={everything}")).await;
    said(Method::GET, "/request/HELP-77", None, 404).await;
    get(&format!("/request/{key}/comment?public=true&internal=true&expand=renderedBody")).await;
    get(&format!("/request/{key}/comment/{}", said_first["id"].as_str().unwrap())).await;
    get(&format!("/request/{key}/attachment?limit=1")).await;
    get(&format!("/request/{key}/status")).await;
    let participants = format!("/request/{key}/participant");
    said(Method::POST, &participants, Some(json!({"accountIds": [chen]})), 200).await;
    assert_eq!(get(&participants).await["size"], 1);
    assert_eq!(said(Method::DELETE, &participants, Some(json!({"accountIds": [chen]})), 200).await["size"], 0);

    said(Method::DELETE, "/servicedesk/10/organization", link, 204).await;
    said(Method::DELETE, &format!("/organization/{acme}"), None, 204).await;
    said(Method::GET, &format!("/organization/{acme}"), None, 404).await;
}
