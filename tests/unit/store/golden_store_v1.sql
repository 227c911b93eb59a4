BEGIN TRANSACTION;
CREATE TABLE rows (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sort TEXT NOT NULL, name TEXT, kind TEXT NOT NULL,
    study TEXT NOT NULL, value TEXT NOT NULL, seconds FLOAT, at TEXT NOT NULL,
    link TEXT NOT NULL, UNIQUE (sort, name));
INSERT INTO "rows" VALUES(1,'frozen','["s","plan"]','plan','s','{"minutes":20}',NULL,'2026-11-24T17:16:12.036+00:00','dd4ccf40f4e1473a4dfabb0643a9cda560d3d43a2ea5c33811c8d085ebccf641');
INSERT INTO "rows" VALUES(2,'look','["rows","s"]','rows','s','{"rows":"rows"}',NULL,'2026-11-24T17:16:12.061+00:00','218715e82232f4aedf9dffc20de172268b748ae7574b21332b37fe5ccf4d2a35');
INSERT INTO "rows" VALUES(3,'door','["s","open","score"]','open','s','{"door":"open","purpose":"score"}',NULL,'2026-11-24T17:16:12.074+00:00','1a85d4215ecf0506a3e9c8155fc31413a64e6741d41e1dfb97a2ad0cf9e8f725');
INSERT INTO "rows" VALUES(4,'unit','k','run','s','{"a":[1,0.5,null,"\u00e9\u0000"]}',1.5,'2026-11-24T17:16:12.089+00:00','407b429c938cc1af4cda327a7037f56ae5273a700229524e5e4ccb4264ccd363');
INSERT INTO "rows" VALUES(5,'event',NULL,'done','s','{"unit":"k"}',NULL,'2026-11-24T17:16:12.104+00:00','4214e323eb0f63ecef9e39d6f46ab717fb1c57cb5caccf94685cc3e45b862553');
CREATE INDEX rows_by_study ON rows (sort, study);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('rows',5);
COMMIT;
PRAGMA application_id=1953983591;
PRAGMA user_version=1;
