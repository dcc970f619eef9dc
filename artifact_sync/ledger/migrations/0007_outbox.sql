-- What hooks are still to be told, and what is told once, as long as it lasts.
-- An outbox row whose `next_try` is NULL was given up.

CREATE TABLE outbox (
  id {id} NOT NULL,
  delivery VARCHAR(32) NOT NULL,
  hook {text} NOT NULL,
  event VARCHAR(20) NOT NULL,
  happened_at VARCHAR(27) NOT NULL,
  facts {text} NOT NULL,
  tries INTEGER NOT NULL,
  first_try VARCHAR(27),
  next_try VARCHAR(27),
  last_error {text} NOT NULL,
  CONSTRAINT pk_outbox PRIMARY KEY (id),
  CONSTRAINT uq_outbox_delivery UNIQUE (delivery)
);

CREATE INDEX ix_outbox_hook ON outbox (hook, next_try, id);

-- `digest` is that of an artifact, or a zero byte for the run itself.
CREATE TABLE told (
  run_id {ref} NOT NULL,
  digest {bytes} NOT NULL,
  event VARCHAR(20) NOT NULL,
  since VARCHAR(27) NOT NULL,
  CONSTRAINT pk_told PRIMARY KEY (run_id, digest, event),
  CONSTRAINT fk_told_run_id FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
);
