#!/bin/sh
# Fills a development Vault with the example that the documentation uses. May be run again: that only adds a version
# to each static secret.
#
#   secret/myapp/config      db_host, db_port, db_name
#   secret/myapp/api-keys    stripe, sendgrid
#   database/creds/myapp     PostgreSQL users that live for an hour (`database/roles/myapp`)
#   auth/approle/role/myapp  may read the above and nothing else; its role_id is `myapp-dev`
#
# Needs the vault command, and Vault's address and an administrator's token in VAULT_ADDR and VAULT_TOKEN.
# POSIX sh: it also runs inside Vault's own container image, which has no bash.
set -eu

: "${VAULT_ADDR:?address of the development Vault, such as http://127.0.0.1:8200}"
: "${VAULT_TOKEN:?token of an administrator of the development Vault, such as root}"

# The database, as Vault reaches it: host:port, and an administrator who may create users.
DATABASE_ADDRESS=${DATABASE_ADDRESS:-127.0.0.1:5432}
DATABASE_ADMIN_USER=${DATABASE_ADMIN_USER:-postgres}
DATABASE_ADMIN_PASSWORD=${DATABASE_ADMIN_PASSWORD:-postgres}
# The same database, as the application reaches it.
DB_HOST=${DB_HOST:-localhost}
DB_PORT=${DB_PORT:-5432}
DB_NAME=${DB_NAME:-mydb}

say() { echo "dev-setup: $*" >&2; }

# mount_once secrets|auth TYPE PATH: unless something is mounted there already.
mount_once() {
    if ! vault "$1" list | grep -q "^$3/ "; then
        vault "$1" enable -path="$3" "$2" >&2
    fi
}

static_secrets() {
    say "secret/myapp/config and secret/myapp/api-keys"
    mount_once secrets kv-v2 secret
    vault kv put -mount=secret myapp/config \
        db_host="$DB_HOST" db_port="$DB_PORT" db_name="$DB_NAME" >/dev/null
    vault kv put -mount=secret myapp/api-keys stripe=sk_test_xxx sendgrid=SG.xxx >/dev/null
}

dynamic_database_role() {
    say "database/creds/myapp on $DATABASE_ADDRESS/$DB_NAME"
    mount_once secrets database database
    # `password=-` reads the password from stdin: an argument would show in the process list.
    printf %s "$DATABASE_ADMIN_PASSWORD" | vault write "database/config/$DB_NAME" \
        plugin_name=postgresql-database-plugin \
        allowed_roles=myapp \
        connection_url="postgresql://{{username}}:{{password}}@$DATABASE_ADDRESS/$DB_NAME?sslmode=disable" \
        username="$DATABASE_ADMIN_USER" \
        password=- >/dev/null
    # An hour, renewable up to a day: short enough to see a rotation, long enough not to be in the way.
    vault write database/roles/myapp \
        db_name="$DB_NAME" \
        creation_statements="CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO \"{{name}}\";" \
        default_ttl=1h max_ttl=24h >/dev/null
}

app_role() {
    say "AppRole myapp, role_id myapp-dev"
    mount_once auth approle approle
    vault policy write myapp - >/dev/null <<'POLICY'
path "secret/data/myapp/*"     { capabilities = ["read"] }
path "secret/metadata/myapp/*" { capabilities = ["read", "list"] }
path "database/creds/myapp"    { capabilities = ["read"] }
POLICY
    vault write auth/approle/role/myapp \
        token_policies=myapp token_ttl=1h token_max_ttl=24h secret_id_num_uses=0 >/dev/null
    vault write auth/approle/role/myapp/role-id role_id=myapp-dev >/dev/null
}

static_secrets
dynamic_database_role
app_role

say "done. To use the AppRole:"
say "  export VAULT_ADDR=$VAULT_ADDR VAULT_AUTH_METHOD=approle VAULT_ROLE_ID=myapp-dev"
say "  VAULT_SECRET_ID=\$(vault write -force -field=secret_id auth/approle/role/myapp/secret-id); export VAULT_SECRET_ID"
