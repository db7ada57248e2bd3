<?php
$peer = require dirname(__DIR__) . '/peer.php';
$metadata[$peer['base'] . '/saml2/idp/metadata.php'] = $peer['idp'] + [
    'host' => '__DEFAULT__',
    'privatekey' => 'idp.key',
    'certificate' => 'idp.crt',
    'auth' => 'people',
];
