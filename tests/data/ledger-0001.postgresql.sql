
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE public.artifact_sync_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE public.artifacts (
    id bigint NOT NULL,
    run_id bigint NOT NULL,
    digest bytea NOT NULL,
    workflow character varying NOT NULL COLLATE pg_catalog."C",
    task character varying NOT NULL COLLATE pg_catalog."C",
    cube character varying NOT NULL COLLATE pg_catalog."C",
    local_path character varying NOT NULL COLLATE pg_catalog."C",
    state character varying(10) NOT NULL,
    path character varying COLLATE pg_catalog."C",
    size bigint,
    sha256 character varying(64) NOT NULL,
    strength character varying(10) NOT NULL,
    evidence text NOT NULL,
    version character varying NOT NULL COLLATE pg_catalog."C",
    etag character varying NOT NULL COLLATE pg_catalog."C",
    content_encoding character varying NOT NULL COLLATE pg_catalog."C",
    attempts integer NOT NULL,
    reason text NOT NULL,
    message character varying NOT NULL COLLATE pg_catalog."C",
    first_seen character varying(27),
    mirrored_at character varying(27)
);

CREATE SEQUENCE public.artifacts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.artifacts_id_seq OWNED BY public.artifacts.id;

CREATE TABLE public.meta (
    key character varying(40) NOT NULL,
    value character varying NOT NULL COLLATE pg_catalog."C"
);

CREATE TABLE public.passes (
    id bigint NOT NULL,
    repo_id bigint NOT NULL,
    began character varying(27) NOT NULL,
    ended character varying(27),
    runs bigint NOT NULL,
    found bigint NOT NULL,
    downloaded bigint NOT NULL,
    kept bigint NOT NULL,
    failed bigint NOT NULL,
    pending bigint NOT NULL,
    bytes bigint NOT NULL,
    complete boolean NOT NULL,
    exit_code integer
);

CREATE SEQUENCE public.passes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.passes_id_seq OWNED BY public.passes.id;

CREATE TABLE public.repositories (
    id bigint NOT NULL,
    org character varying NOT NULL COLLATE pg_catalog."C",
    repo character varying NOT NULL COLLATE pg_catalog."C",
    horizon_high bigint,
    horizon_since character varying(27),
    horizon_falling boolean,
    last_pass character varying(27),
    last_complete character varying(27),
    last_error character varying NOT NULL COLLATE pg_catalog."C"
);

CREATE SEQUENCE public.repositories_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.repositories_id_seq OWNED BY public.repositories.id;

CREATE TABLE public.runs (
    id bigint NOT NULL,
    repo_id bigint NOT NULL,
    run character varying NOT NULL COLLATE pg_catalog."C",
    number bigint NOT NULL,
    status character varying NOT NULL COLLATE pg_catalog."C",
    event character varying NOT NULL COLLATE pg_catalog."C",
    created_at character varying(27),
    finished_at character varying(27),
    fingerprint character varying NOT NULL COLLATE pg_catalog."C",
    settled_for character varying NOT NULL COLLATE pg_catalog."C",
    kept bigint,
    complete boolean NOT NULL,
    looks integer NOT NULL,
    next_look character varying(27),
    first_seen character varying(27),
    seen_at character varying(27),
    wanted integer NOT NULL,
    pending integer NOT NULL,
    mirrored integer NOT NULL,
    failed integer NOT NULL,
    gone integer NOT NULL,
    refused integer NOT NULL,
    bytes bigint NOT NULL,
    last_mirrored character varying(27)
);

CREATE SEQUENCE public.runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.runs_id_seq OWNED BY public.runs.id;

ALTER TABLE ONLY public.artifacts ALTER COLUMN id SET DEFAULT nextval('public.artifacts_id_seq'::regclass);

ALTER TABLE ONLY public.passes ALTER COLUMN id SET DEFAULT nextval('public.passes_id_seq'::regclass);

ALTER TABLE ONLY public.repositories ALTER COLUMN id SET DEFAULT nextval('public.repositories_id_seq'::regclass);

ALTER TABLE ONLY public.runs ALTER COLUMN id SET DEFAULT nextval('public.runs_id_seq'::regclass);

INSERT INTO public.artifact_sync_version VALUES ('0001');

INSERT INTO public.artifacts VALUES (1, 1, '\x151f82fbd1293d4f2e65a726ae0aa66d88951a16daee65c7f46c0fa1ed0ec523', 'build', 'compile', 'linux', 'dist/app.tar.gz', 'mirrored', 'acme/widgets/7/build/compile/linux/dist/app.tar.gz', 10, 'abababababababababababababababababababababababababababababababab', 'digest', '["digest:sha-256","length"]', 'v1', '"e"', 'gzip', 0, '', '', '2026-11-23T12:00:00.000250Z', '2026-11-23T12:00:00.000250Z');
INSERT INTO public.artifacts VALUES (2, 1, '\x5d93c80004ac5efc006c337aebe4fc3158ce28f1d5c25775cbee58fda1444a2e', 'build', 'compile', 'linux', 'имя\\\udc80 \u0000', 'mirrored', 'acme/widgets/7/build/compile/linux/имя\\\udc80 \u0000', 10, 'abababababababababababababababababababababababababababababababab', 'digest', '["digest:sha-256","length"]', 'v1', '"e"', 'gzip', 0, '', '', '2026-11-23T12:00:00.000250Z', '2026-11-23T12:00:00.000250Z');
INSERT INTO public.artifacts VALUES (3, 5, '\xa43eab65fdcb7ae7aff2097fbad6eb2a2c123a4a04dbb0ea7793570c84e81c80', 'build', 'compile', 'linux', 'a', 'mirrored', 'acme/gadgets/5/build/compile/linux/a', 10, 'abababababababababababababababababababababababababababababababab', 'digest', '["digest:sha-256","length"]', 'v1', '"e"', 'gzip', 0, '', '', '2026-11-23T12:00:00.000250Z', '2026-11-23T12:00:00.000250Z');
INSERT INTO public.artifacts VALUES (4, 3, '\xc9938ac420064c1d16e51e72ff8e55b38b29dd014db37404bc8d8b95c3a55e0e', 'build', 'compile', 'linux', 'later', 'pending', NULL, NULL, '', 'none', '[]', '', '', '', 0, '', '', '2026-11-23T12:00:00.000250Z', NULL);
INSERT INTO public.artifacts VALUES (5, 3, '\x662ff90b36e51f5e6a46f1556442d0a1febad04357f55e5d2ffc48d4f7212a01', 'build', 'compile', 'linux', 'wanted', 'wanted', NULL, NULL, '', 'none', '[]', 'v2', '', '', 0, '', '', '2026-11-23T12:00:00.000250Z', NULL);
INSERT INTO public.artifacts VALUES (6, 2, '\x24d1fdd9f1945eaa7f38de3f2a49409df80a4272f5807ba4e96e8eff76ff6a55', 'build', 'compile', 'linux', 'failed', 'failed', NULL, NULL, '', 'none', '[]', '', '', '', 1, 'cut', 'cut short\\', '2026-11-23T13:00:00.000250Z', NULL);
INSERT INTO public.artifacts VALUES (7, 2, '\xed66550553df24b6fb01ef1d76cbd15da55cd7acc4949ddae2c1ae2596c3e751', 'build', 'compile', 'linux', 'gone', 'gone', NULL, NULL, '', 'none', '[]', '', '', '', 1, 'cut', 'cut short\\', '2026-11-23T13:00:00.000250Z', NULL);
INSERT INTO public.artifacts VALUES (8, 2, '\xd2505933f23c709b330fe7284f7f053213465cd912cd44154dcd5d0352fcb622', 'build', 'compile', 'linux', 'refused', 'refused', NULL, NULL, '', 'none', '[]', '', '', '', 1, 'cut', 'cut short\\', '2026-11-23T13:00:00.000250Z', NULL);

INSERT INTO public.meta VALUES ('layout', '{org}/{repo}/{run}/{workflow}/{task}/{cube}/{local_path}');
INSERT INTO public.meta VALUES ('mirror', '1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f');
INSERT INTO public.meta VALUES ('mark/1', '2026-11-23T13:00:00.000250Z 0 abc');

INSERT INTO public.passes VALUES (1, 1, '2026-11-23T12:00:00.000250Z', '2026-11-23T13:00:00.000250Z', 4, 2, 2, 0, 0, 0, 20, true, 0);
INSERT INTO public.passes VALUES (2, 2, '2026-11-23T13:00:00.000250Z', NULL, 0, 0, 0, 0, 0, 0, 0, false, NULL);

INSERT INTO public.repositories VALUES (2, 'acme', 'gadgets', NULL, NULL, NULL, NULL, NULL, '');
INSERT INTO public.repositories VALUES (1, 'acme', 'widgets', 9, '2026-11-23T12:00:00.000250Z', true, '2026-11-23T13:00:00.000250Z', '2026-11-23T13:00:00.000250Z', '');

INSERT INTO public.runs VALUES (4, 1, 'nightly', -1, 'success', 'push', '2026-11-23T12:00:00.000250Z', NULL, 'success|2026-11-23T12:00:00.000250+00:00||', '', NULL, false, 0, NULL, '2026-11-23T12:00:00.000250Z', '2026-11-23T12:00:00.000250Z', 0, 0, 0, 0, 0, 0, 0, NULL);
INSERT INTO public.runs VALUES (5, 2, '5', 5, 'success', 'push', '2026-11-23T12:00:00.000250Z', NULL, 'success|2026-11-23T12:00:00.000250+00:00||', '', NULL, false, 0, NULL, '2026-11-23T12:00:00.000250Z', '2026-11-23T12:00:00.000250Z', 0, 0, 1, 0, 0, 0, 10, '2026-11-23T12:00:00.000250Z');
INSERT INTO public.runs VALUES (2, 1, '8', 8, 'failed', 'push', '2026-11-23T12:00:00.000250Z', NULL, 'failed|2026-11-23T12:00:00.000250+00:00||', 's', 0, false, 0, NULL, '2026-11-23T12:00:00.000250Z', '2026-11-23T12:00:00.000250Z', 0, 0, 0, 1, 1, 1, 0, NULL);
INSERT INTO public.runs VALUES (3, 1, '9', 9, 'success', 'push', NULL, NULL, 'success|||', '', NULL, false, 1, '2026-11-23T13:00:00.000250Z', '2026-11-23T12:00:00.000250Z', '2026-11-23T12:00:00.000250Z', 1, 1, 0, 0, 0, 0, 0, NULL);
INSERT INTO public.runs VALUES (1, 1, '7', 7, 'success', 'push', '2026-11-23T12:00:00.000250Z', '2026-11-23T13:00:00.000250Z', 'success|2026-11-23T12:00:00.000250+00:00|2026-11-23T13:00:00.000250+00:00|', 's', 2, true, 0, NULL, '2026-11-23T12:00:00.000250Z', '2026-11-23T12:00:00.000250Z', 0, 0, 2, 0, 0, 0, 20, '2026-11-23T12:00:00.000250Z');

SELECT pg_catalog.setval('public.artifacts_id_seq', 8, true);

SELECT pg_catalog.setval('public.passes_id_seq', 2, true);

SELECT pg_catalog.setval('public.repositories_id_seq', 2, true);

SELECT pg_catalog.setval('public.runs_id_seq', 5, true);

ALTER TABLE ONLY public.artifact_sync_version
    ADD CONSTRAINT artifact_sync_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT pk_artifacts PRIMARY KEY (id);

ALTER TABLE ONLY public.meta
    ADD CONSTRAINT pk_meta PRIMARY KEY (key);

ALTER TABLE ONLY public.passes
    ADD CONSTRAINT pk_passes PRIMARY KEY (id);

ALTER TABLE ONLY public.repositories
    ADD CONSTRAINT pk_repositories PRIMARY KEY (id);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT pk_runs PRIMARY KEY (id);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT uq_artifacts_run_id_digest UNIQUE (run_id, digest);

ALTER TABLE ONLY public.repositories
    ADD CONSTRAINT uq_repositories_org_repo UNIQUE (org, repo);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT uq_runs_repo_id_run UNIQUE (repo_id, run);

CREATE INDEX ix_artifacts_path ON public.artifacts USING btree (path, id, run_id);

CREATE INDEX ix_artifacts_unwell ON public.artifacts USING btree (run_id) WHERE ((state)::text = ANY ((ARRAY['failed'::character varying, 'gone'::character varying, 'refused'::character varying])::text[]));

CREATE INDEX ix_passes_repo ON public.passes USING btree (repo_id, id);

CREATE INDEX ix_runs_complete ON public.runs USING btree (repo_id, complete, number, id, status);

CREATE INDEX ix_runs_newest ON public.runs USING btree (repo_id, number, id);

CREATE INDEX ix_runs_settled ON public.runs USING btree (repo_id, settled_for, number, id, created_at, kept);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT fk_artifacts_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id);

ALTER TABLE ONLY public.passes
    ADD CONSTRAINT fk_passes_repo_id FOREIGN KEY (repo_id) REFERENCES public.repositories(id);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT fk_runs_repo_id FOREIGN KEY (repo_id) REFERENCES public.repositories(id);

