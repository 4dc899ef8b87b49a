// Vault Proxy in a pod.
vault {
  address = "https://vault:8200"
  retry { num_retries = -1 }
}

auto_auth {
  method {
    type = "kubernetes"
    config = {
      role = "myapp"
    }
  }
}

api_proxy {
  use_auto_auth_token = "force"
  when_inconsistent   = "retry"
}

cache {
  cache_static_secrets = true
  static_secret_token_capability_refresh_interval = "2h"
  disable_caching_dynamic_secrets = true
}

listener "tcp" {
  address         = "0.0.0.0:8100"
  tls_cert_file   = "/tls/tls.crt"
  tls_key_file    = "/tls/tls.key"
  tls_min_version = "tls13"
  max_request_size = 1048576
  http_idle_timeout = "5m"
}

listener "tcp" {
  address     = "localhost:8101"
  tls_disable = "true"
  role        = "metrics_only"
}
