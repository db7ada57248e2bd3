<?php
$peer = require __DIR__ . '/peer.php';
$config = ['people' => ['exampleauth:UserPass']];
foreach ($peer['people'] as $login => $person) {
    $config['people'][$login . ':' . $person['password']] = $person['attributes'];
}
