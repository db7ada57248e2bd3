<?php
// What this instance is: a JSON object in the file that PEER names, written by the test that started it.
//   base     its address, such as http://127.0.0.1:12345
//   name     a short name; its cookies carry it, for cookies know no ports
//   folder   where it keeps keys (idp.key, idp.crt), sessions, its log, and the metadata of the service provider
//   people   login: {password, attributes}
//   idp      more of saml20-idp-hosted, as SimpleSAMLphp documents it
return json_decode(file_get_contents(getenv('PEER')), true, 64, JSON_THROW_ON_ERROR);
