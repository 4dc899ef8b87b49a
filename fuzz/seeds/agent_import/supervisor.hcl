vault { address = "http://127.0.0.1:8200" }

auto_auth {
  method {
    type = "token_file"
    config { token_file_path = "/home/app/.vault-token" }
  }
}

template_config {
  static_secret_render_interval = "5m"
  exit_on_retry_failure         = true
}

env_template "DB_PASSWORD" {
  contents             = "{{ with secret \"secret/data/app\" }}{{ .Data.data.password }}{{ end }}"
  error_on_missing_key = true
}

env_template "DB_URL" {
  contents = "{{ with secret \"database/creds/app\" }}postgres://{{ .Data.username }}:{{ .Data.password }}@db{{ end }}"
}

exec {
  command                   = ["/usr/bin/app", "--port", "80"]
  restart_on_secret_changes = "always"
  restart_stop_signal       = "SIGINT"
}
