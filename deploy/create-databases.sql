-- Each service owns its database; neither reads the other's.
CREATE DATABASE tracking;
CREATE DATABASE registry;
CREATE DATABASE web;
