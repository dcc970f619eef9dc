-- What the service last told of each run, as it is in `run.json`: JSON, packed by zlib.

CREATE TABLE run_records (
  run_id {ref} NOT NULL,
  record {bytes} NOT NULL,
  CONSTRAINT pk_run_records PRIMARY KEY (run_id),
  CONSTRAINT fk_run_records_run_id FOREIGN KEY (run_id) REFERENCES runs (id)
);
