# A virtual machine: login by AppRole, two listeners, certificates as files.
pid_file = "/run/vault-agent.pid"
log_level = "info"
exit_after_auth = false

vault {
  address         = "https://vault.example.com:8200"
  ca_cert         = "/etc/vault/ca.pem"
  tls_skip_verify = false
  tls_server_name = "vault.internal"
  namespace       = "team-a/"
  retry {
    num_retries = 5
  }
}

auto_auth {
  method "approle" {
    mount_path = "auth/approle-prod"
    config = {
      role_id_file_path                   = "/etc/vault/role_id"
      secret_id_file_path                 = "/etc/vault/secret_id"
      remove_secret_id_file_after_reading = false
    }
    max_backoff = "5m"
  }

  sink "file" {
    wrap_ttl = "5m"
    config = {
      path = "/run/vault/token"
      mode = 0640
    }
  }
}

cache {
  persist "file" {
    path = "/var/lib/vault-agent/"
    keep_after_import = true
  }
}

api_proxy {
  use_auto_auth_token = true
}

/* Two places:
   one for programs, one for the web server. */
listener "tcp" {
  address     = "127.0.0.1:8100"
  tls_disable = true
  require_request_header = true
  agent_api {
    enable_quit = true
  }
}

listener "unix" {
  address      = "/run/vault/agent.sock"
  tls_disable  = true
  socket_mode  = "0660"
  socket_group = "root"
}

template_config {
  static_secret_render_interval = "10m"
  exit_on_retry_failure         = true
  max_connections_per_host      = 20
}

template {
  source      = "/etc/vault/server.key.ctmpl"
  destination = "/run/app/server.key"
  perms       = "0640"
  command     = "systemctl reload app"
}

template {
  contents = <<-EOT
    {{- with secret "secret/data/myapp/config" }}
    host = {{ .Data.data.db_host }}
    {{- end }}
  EOT
  destination          = "/run/app/app.conf"
  error_on_missing_key = true
  wait {
    min = "2s"
    max = "10s"
  }
}

telemetry {
  disable_hostname = true
  statsd_address   = "127.0.0.1:8125"
}
