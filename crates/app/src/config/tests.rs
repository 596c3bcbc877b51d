use super::*;
use secrecy::ExposeSecret;

fn load(text: &str, environment: Environment) -> Result<Config> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gallerist.toml");
    std::fs::write(&file, text).unwrap();
    let place = Place { config: Some(file), data_dir: Some(folder.path().to_owned()) };
    Config::load(&place, &environment)
}

#[test]
fn a_provider_is_on_when_its_customary_key_is_set() {
    let environment = Environment::from([
        ("OPENAI_API_KEY", "sk-1"),
        ("GOOGLE_API_KEY", "g-1"),
        ("GALLERIST_OPENAI_BASE_URL", "http://127.0.0.1:9100/v1/"),
        ("BFL_API_KEY", "  "),
    ]);
    let config = load("", environment).unwrap();
    let on: Vec<_> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(on, ["google", "openai"]);
    assert_eq!(config.providers[1].base_url, "http://127.0.0.1:9100/v1");
    assert_eq!(config.providers[0].key.expose_secret(), "g-1");
}

#[test]
fn webhooks_reach_private_addresses_and_credits_are_asked_for_as_the_settings_say() {
    assert!(!load("", Environment::default()).unwrap().limits.webhooks_private);
    let allowed = load("[webhooks]\nallow_private = true\n", Environment::default()).unwrap();
    assert!(allowed.limits.webhooks_private);
    let failure = load("[webhooks]\nallow_privat = true\n", Environment::default()).unwrap_err();
    assert!(
        failure.message.contains("gallerist.toml:2: unknown entry \"allow_privat\""),
        "{}",
        failure.message
    );
    let limits = load("", Environment::default()).unwrap().limits;
    assert_eq!((limits.balance_every_ms, limits.credits_drift.short().as_str()), (Some(3_600_000), "1.00"));
    let credits = "[credits]\nbalance_minutes = 0\ndrift_usd = \"2.50\"\n";
    let limits = load(credits, Environment::default()).unwrap().limits;
    assert_eq!((limits.balance_every_ms, limits.credits_drift.short().as_str()), (None, "2.50"));
    for wrong in ["balance_minutes = 10081", "drift_usd = \"-1\"", "every = 1"] {
        assert!(load(&format!("[credits]\n{wrong}\n"), Environment::default()).is_err(), "{wrong}");
    }
    let failure = load("webhooks = true\n", Environment::default()).unwrap_err();
    assert!(failure.message.contains("write [webhooks]"), "{}", failure.message);
}

#[test]
fn two_mapped_feeds_of_one_price_line_are_a_mistake_that_names_both() {
    let feed = |name: &str, line: &str, more: &str| {
        format!(
            "[[feeds]]\nkind = \"json\"\nname = \"{name}\"\nurl = \"https://prices.example/{name}\"\n{more}\
             prices = [{{ offer = \"bfl/flux-1.1-pro\", line = \"{line}\", pointer = \"/usd\" }}]\n"
        )
    };
    let both = format!("{}{}", feed("house", "picture", ""), feed("shop", "picture", ""));
    let failure = load(&both, Environment::default()).unwrap_err();
    let expected = "the feeds \"house\" and \"shop\" both tell bfl/flux-1.1-pro picture, and a price line has one \
                    feed: take the entry out of the `prices` of one of them";
    assert!(failure.message.contains(expected), "{}", failure.message);
    assert!(failure.message.contains("gallerist.toml:10: "), "{}", failure.message);

    let apart = format!("{}{}", feed("house", "picture", ""), feed("shop", "other", ""));
    let config = load(&apart, Environment::default()).unwrap();
    assert!(
        config.feeds.iter().all(|feed| feed.rules.precedence[..] == ["house".to_owned(), "shop".to_owned()])
    );
    let of_others =
        format!("{}{}", feed("house", "picture", ""), feed("shop", "picture", "offers = [\"fal\"]\n"));
    assert!(load(&of_others, Environment::default()).is_ok(), "it is believed about something else");
}

#[test]
fn an_engine_of_ones_own_is_on_when_its_address_is_set() {
    let none = load("", Environment::default()).unwrap();
    assert!(none.providers.is_empty());
    let environment = Environment::from([("GALLERIST_AUTOMATIC1111_BASE_URL", "http://10.0.0.7:7860")]);
    let config = load("", environment).unwrap();
    assert_eq!(config.providers[0].name, "automatic1111");
}

/// A kind of one's own: another's protocol, its own models and prices.
fn with_own_kind(text: &str, environment: Environment) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = folder.path().join("catalogue");
    std::fs::create_dir(&catalogue).unwrap();
    let own =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalog/automatic1111.toml"))
            .unwrap()
            .replace("kind = \"automatic1111\"", "kind = \"vllm\"\nadapter = \"openai\"");
    std::fs::write(catalogue.join("vllm.toml"), own).unwrap();
    let file = folder.path().join("gallerist.toml");
    std::fs::write(&file, format!("catalogue_dir = {catalogue:?}\n{text}")).unwrap();
    let place = Place { config: Some(file), data_dir: Some(folder.path().to_owned()) };
    Config::load(&place, &environment).unwrap()
}

#[test]
fn a_list_of_the_wrong_things_is_told_with_what_belongs_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gallerist.toml");
    let feed = "[[feeds]]\nkind = \"json\"\nurl = \"https://prices.example\"\nprices = [5]\n";
    std::fs::write(&file, format!("{feed}[routes.cheap]\nproviders = 5\n")).unwrap();
    let place = Place { config: Some(file), data_dir: Some(folder.path().to_owned()) };
    let failure = Config::load(&place, &Environment::default()).unwrap_err();
    assert!(failure.message.contains("gallerist.toml:4: prices: "), "{failure}");
    assert!(failure.message.contains("expected a table such as { offer = "), "{failure}");
    assert!(failure.message.contains("expected a table such as { only = "), "{failure}");
    assert!(!failure.message.contains("struct"), "{failure}");
}

#[test]
fn a_kind_of_ones_own_is_configured_like_any_other() {
    let address = "http://10.0.0.8:8000/v1";
    let environment = Environment::from([("GALLERIST_VLLM_BASE_URL", address), ("OPENAI_API_KEY", "sk-1")]);
    let moved = with_own_kind("", environment);
    let on: Vec<_> = moved.providers.iter().map(|one| (one.name.as_str(), one.base_url.as_str())).collect();
    assert_eq!(on, [("openai", "https://api.openai.com/v1"), ("vllm", address)]);

    let text = format!("[[providers]]\nkind = \"vllm\"\nbase_url = \"{address}\"\n");
    let written = with_own_kind(&text, Environment::default());
    assert_eq!(
        (written.providers[0].kind.as_str(), written.providers[0].base_url.as_str()),
        ("vllm", address)
    );
    assert_eq!(written.catalogue.provider("vllm").unwrap().adapter, "openai");
}

#[test]
fn says_why_a_moved_provider_is_off() {
    let environment = Environment::from([("GALLERIST_OPENAI_BASE_URL", "http://127.0.0.1:1/v1")]);
    let config = load("", environment).unwrap();
    assert_eq!(
        config.remarks,
        ["openai is off: GALLERIST_OPENAI_BASE_URL is set, but OPENAI_API_KEY is not"]
    );
}

#[test]
fn the_file_names_accounts_and_variables_overlay_it() {
    let text = "listen = \"0.0.0.0:9000\"\ncheck = \"pixels\"\ncap_usd = \"12.5\"\nbaseline = \"openai/gpt-image-2\"\n\
                [[providers]]\nname = \"team-a\"\nkind = \"openai\"\nkey_env = \"TEAM_A\"\n\
                base_url = \"https://proxy.example/v1\"\nconcurrency_max = 3\nimages_per_minute = 50\n";
    let environment = Environment::from([
        ("TEAM_A", "sk-a"),
        ("GALLERIST_LISTEN", "127.0.0.1:0"),
        ("GALLERIST_OPENAI_BASE_URL", "http://127.0.0.1:1/v1"),
    ]);
    let config = load(text, environment).unwrap();
    assert_eq!(config.listen, "127.0.0.1:0");
    assert_eq!(config.check_depth, Depth::Pixels);
    assert_eq!(config.cap, Some("12.5".parse().unwrap()));
    let provider = &config.providers[0];
    assert_eq!((provider.name.as_str(), provider.concurrency_max), ("team-a", Some(3)));
    assert_eq!(provider.images_per_minute, Some(50));
    assert_eq!(
        provider.base_url, "https://proxy.example/v1",
        "the variable moves only the provider `openai`"
    );
}

#[test]
fn all_mistakes_are_reported_together_with_their_lines() {
    let text = "lisen = \"x\"\ndeadline_ms = \"soon\"\ncheck = \"eyes\"\nbaseline = \"nobody/nothing\"\n\
                cap_usd = \"-1\"\n[[providers]]\nkind = \"opnai\"\n[[providers]]\nkind = \"bfl\"\n\
                key = \"secret-in-a-file\"\n[[providers]]\nkind = \"fal\"\nkey_env = \"NOT_SET\"\n";
    let environment = Environment::from([("GALLERIST_LISTEN", "8080")]);
    let failure = load(text, environment).unwrap_err();
    assert_eq!(failure.exit, 2);
    let message = failure.message;
    for expected in [
        "gallerist.toml:1: unknown entry \"lisen\"",
        "gallerist.toml:2: deadline_ms",
        "gallerist.toml:3: check is",
        "gallerist.toml:4: the catalogue has no offer nobody/nothing",
        "gallerist.toml:5: cap_usd is not negative",
        "gallerist.toml:7: there is no kind \"opnai\"",
        "gallerist.toml:10: a key does not belong into this file",
        "gallerist.toml:13: the variable NOT_SET is not set",
        "GALLERIST_LISTEN: \"8080\" is no address",
        "provider kind bfl needs a key: set BFL_API_KEY",
    ] {
        assert!(message.contains(expected), "{expected}\nis not in\n{message}");
    }
    assert!(!message.contains("secret-in-a-file"), "{message}");
    let lines = message.lines().filter_map(|line| line.trim().strip_prefix("gallerist.toml:"));
    let lines: Vec<u32> = lines.map(|line| line.split(':').next().unwrap().parse().unwrap()).collect();
    assert!(lines.is_sorted(), "{message}");
}

#[test]
fn one_mistake_of_a_provider_does_not_hide_another() {
    let text = "[[providers]]\nname = \"a b\"\nkind = \"opnai\"\nbase_url = \"x\"\nkey_env = \"NOT_SET\"\n\
                concurrency_max = 0\n";
    let message = load(text, Environment::default()).unwrap_err().message;
    for line in 2..=6 {
        assert!(message.contains(&format!("gallerist.toml:{line}: ")), "{line}\n{message}");
    }
}

#[test]
fn a_base_url_without_its_path_is_remarked() {
    let moved = |address| {
        let variables = [("OPENAI_API_KEY", "sk-1"), ("GALLERIST_OPENAI_BASE_URL", address)];
        load("", Environment::from(variables)).unwrap().remarks
    };
    assert_eq!(
        moved("http://127.0.0.1:1/"),
        ["GALLERIST_OPENAI_BASE_URL has no path; that of OpenAI ends in /v1"]
    );
    assert!(moved("http://127.0.0.1:1/v1").is_empty());
}

#[test]
fn a_mistaken_base_url_is_not_repeated() {
    let environment =
        Environment::from([("OPENAI_API_KEY", "sk-1"), ("GALLERIST_OPENAI_BASE_URL", "sk-pasted-here")]);
    let message = load("", environment).unwrap_err().message;
    assert!(message.contains("GALLERIST_OPENAI_BASE_URL: this is no base URL"), "{message}");
    assert!(!message.contains("sk-pasted-here"));
}

#[test]
fn broken_toml_names_its_line() {
    let message = load("listen = \n\n[", Environment::default()).unwrap_err().message;
    assert!(message.contains("gallerist.toml:1:"), "{message}");
}

#[test]
fn the_example_of_the_help_is_sound() {
    let help = crate::commands::serve::EXAMPLES;
    let (_, example) = help.split_once("each is optional:").unwrap();
    let environment = Environment::from([("OPENAI_EU_KEY", "sk-eu"), ("FAL_KEY", "fal-key")]);
    let failure = load(example, environment).unwrap_err();
    let mistakes: Vec<&str> = failure.message.lines().skip(1).collect();
    assert_eq!(mistakes.len(), 1, "only its folder does not exist: {failure}");
    assert!(mistakes[0].contains("my-catalogue"), "{failure}");
}

fn keys() -> Environment {
    Environment::from([("OPENAI_API_KEY", "sk-1"), ("BFL_API_KEY", "b-1"), ("FAL_KEY", "f-1")])
}

#[test]
fn routes_are_read_and_what_they_leave_out_stays_open() {
    let text = "check = \"pixels\"\nbaseline = \"openai/gpt-image-2\"\n\
                [routes.thumbs]\nmodels = { only = [\"flux-schnell\", \"openai/gpt-image-1-mini\"] }\n\
                providers = { exclude = [\"bfl\"] }\nobjective = \"latency\"\nclass = \"draft\"\n\
                max_cost_usd = \"0.02\"\ntier = \"standard\"\ncheck = \"header\"\nmoderation_failover = true\n\
                baseline = \"bfl/flux-1.1-pro\"\n[routes.auto]\nclass = \"high\"\n[routes.wide]\n";
    let config = load(text, keys()).unwrap();
    let names: Vec<&str> = config.names.routes().iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["auto", "thumbs", "wide"]);
    let thumbs = config.names.route("thumbs").unwrap();
    let allowed: Vec<String> = config
        .offers()
        .iter()
        .filter(|offer| thumbs.allows(offer))
        .map(|offer| offer.id.to_string())
        .collect();
    assert_eq!(allowed, ["fal/flux-1-schnell", "openai/gpt-image-1-mini"]);
    assert_eq!(thumbs.objective, Some(gallerist_domain::Objective::Latency));
    assert_eq!(thumbs.class, Some(gallerist_domain::QualityClass::Draft));
    assert_eq!(thumbs.max_cost, Some("0.02".parse().unwrap()));
    assert_eq!((thumbs.check, thumbs.moderation_failover), (Some(Depth::Header), Some(true)));
    assert_eq!(thumbs.baseline, Some("bfl/flux-1.1-pro".parse().unwrap()));
    let auto = config.names.route("auto").unwrap();
    assert_eq!(auto.class, Some(gallerist_domain::QualityClass::High));
    assert_eq!(config.names.route("wide"), Some(&gallerist_routing::Route::named("wide")));
    assert_eq!(config.remarks, Vec::<String>::new());
}

#[test]
fn each_mistake_of_a_route_names_its_field() {
    let text = "[routes.\"a/b\"]\n[routes.gpt-image-2]\n[routes.flux-schnell]\n[routes.bad]\n\
                models = { only = [\"gpt-imag-2\"], exclude = [\"gpt-image-2@2026-04-21\", \"gpt-image-2-2026-04-21\"] }\n\
                providers = { only = [\"opnai\"] }\nobjective = \"price\"\nclass = \"medium\"\n\
                max_cost_usd = \"-1\"\ntier = \"slow\"\ncheck = \"eyes\"\nmoderation_failover = \"yes\"\n\
                baseline = \"nobody/nothing\"\nprovider = 1\n[routes.odd]\nmodels = [\"gpt-image-2\"]\n";
    let message = load(text, keys()).unwrap_err().message;
    for expected in [
        "gallerist.toml:1: a route's name has 1 to 64 characters",
        "gallerist.toml:2: \"gpt-image-2\" is a model already (gpt-image-2)",
        "gallerist.toml:3: \"flux-schnell\" is a model already (flux-1-schnell)",
        "gallerist.toml:5: models: the catalogue has no \"gpt-imag-2\"; the nearest are gpt-image-2",
        "gallerist.toml:5: models: \"gpt-image-2@2026-04-21\" cannot be excluded",
        "gallerist.toml:5: models: \"gpt-image-2-2026-04-21\" cannot be excluded",
        "gallerist.toml:6: providers: there is no provider \"opnai\"",
        "gallerist.toml:7: objective is one of cost, latency, quality",
        "gallerist.toml:8: class is one of draft, standard, high",
        "gallerist.toml:9: max_cost_usd is not negative",
        "gallerist.toml:10: tier is one of auto, batch, standard, priority",
        "gallerist.toml:11: check is \"header\" or \"pixels\"",
        "gallerist.toml:12: moderation_failover",
        "gallerist.toml:13: the catalogue has no offer nobody/nothing",
        "gallerist.toml:14: unknown entry \"provider\"",
        "gallerist.toml:16: models",
    ] {
        assert!(message.contains(expected), "{expected}\nis not in\n{message}");
    }
}

#[test]
fn migrations_are_followed_in_one_step_to_what_there_is() {
    let text = "[routes.sketch]\nclass = \"draft\"\n[migrations]\n\"dall-e-3\" = \"gpt-image-2\"\n\
                \"dall-e-2\" = \"sketch\"\n\"gpt-image-2\" = \"flux-2-pro\"\n";
    let message = load(text, keys()).unwrap_err().message;
    let chain = "gallerist.toml:4: migrations: a chain: dall-e-3 → gpt-image-2 → flux-2-pro: \
                 write \"dall-e-3\" = \"flux-2-pro\"";
    assert!(message.contains(chain), "{message}");
    let text = "[routes.sketch]\n[migrations]\n\"dall-e-3\" = \"dall-e-2\"\n\"dall-e-2\" = \"dall-e-3\"\n\
                \"x\" = \"x\"\n\"sketch\" = \"auto\"\n\"y\" = \"gpt-imag-2\"\n\"z\" = 7\n";
    let message = load(text, keys()).unwrap_err().message;
    for expected in [
        "gallerist.toml:3: migrations: a circle: dall-e-3 → dall-e-2 → dall-e-3",
        "gallerist.toml:4: migrations: a circle: dall-e-2 → dall-e-3 → dall-e-2",
        "gallerist.toml:5: migrations: a circle: x → x",
        "gallerist.toml:6: migrations: \"sketch\" is a route",
        "gallerist.toml:7: migrations: the catalogue has no \"gpt-imag-2\"; the nearest are gpt-image-2",
        "gallerist.toml:8: migrations: the new name of \"z\" is text in quotes",
    ] {
        assert!(message.contains(expected), "{expected}\nis not in\n{message}");
    }
}

#[test]
fn a_migration_that_is_not_needed_is_remarked() {
    let text = "[migrations]\n\"gpt-image-2\" = \"flux-2-pro\"\n\"dall-e-3\" = \"dall-e-2\"\n\
                [routes.none]\nproviders = { only = [\"stability\"] }\n";
    let config = load(text, keys()).unwrap();
    assert_eq!(
        config.remarks,
        [
            "route \"none\" allows no offer of the providers that are on",
            "the migration of gpt-image-2 is not followed: gpt-image-2 still works",
            "the migration of dall-e-3 leads to dall-e-2, which is gone too",
        ]
    );
}

#[test]
fn a_variable_that_means_nothing_is_told_with_the_nearest_name() {
    let environment = Environment::from([
        ("OPENAI_API_KEY", "sk-1"),
        ("GALLERIST_LISTN", "127.0.0.1:9"),
        ("GALLERIST_OPENAI_URL", "sk-secret"),
        ("GALLERIST_EU_KEY", "sk-2"),
        ("GALLERIST_LOG", "debug"),
        ("GALLERIST_RUNWARE_BASE_URL", ""),
    ]);
    let text = "[[providers]]\nname = \"eu\"\nkind = \"openai\"\nkey_env = \"GALLERIST_EU_KEY\"\n";
    let remarks = load(text, environment).unwrap().remarks;
    assert_eq!(remarks.len(), 2, "{remarks:?}");
    assert!(remarks.iter().any(|remark| remark.ends_with("the nearest known name is GALLERIST_LISTEN")));
    assert!(remarks.iter().any(|remark| remark.ends_with("is GALLERIST_OPENAI_BASE_URL")), "{remarks:?}");
    assert!(!remarks.concat().contains("sk-"), "{remarks:?}");
}

#[test]
fn what_has_prices_alone_is_not_silently_off() {
    let environment = Environment::from([
        ("RUNWARE_API_KEY", "r-1"),
        ("GALLERIST_RECRAFT_BASE_URL", "http://127.0.0.1:1"),
        ("OPENAI_API_KEY", "sk-1"),
    ]);
    let remarks = load("", environment).unwrap().remarks.join("\n");
    assert!(remarks.contains("runware (RUNWARE_API_KEY)"), "{remarks}");
    assert!(remarks.contains("recraft has prices here and no adapter yet"), "{remarks}");
    assert!(!remarks.contains("OPENAI"), "{remarks}");
    let failure = load("[[providers]]\nkind = \"runware\"\n", Environment::default()).unwrap_err();
    assert!(failure.message.contains("\"runware\" has prices here and no adapter yet"), "{failure}");
    let failure = load("[[providers]]\nkind = \"opnai\"\n", Environment::default()).unwrap_err();
    assert!(failure.message.contains("is \"openai\" meant?"), "{failure}");
    let failure = load("basline = \"x\"\n", Environment::default()).unwrap_err();
    assert!(failure.message.contains("is \"baseline\" meant?"), "{failure}");
}

#[test]
fn a_retention_is_a_week_at_least() {
    let written = |days: u32| load(&format!("retention_days = {days}\n"), Environment::default());
    assert_eq!(written(7).unwrap().limits.retention_days, Some(7));
    let failure = written(6).unwrap_err().to_string();
    assert!(failure.contains("gallerist.toml:1: retention_days is 7 to 36500 days"), "{failure}");
}

#[test]
fn the_store_is_named_by_the_variable_else_by_the_file_and_no_mistake_shows_its_password() {
    let none = load("", Environment::default()).unwrap();
    assert!(none.store_url.is_none());
    let file = "[store]\nurl = \"postgres://me@db.example/books\"\n";
    let config = load(file, Environment::default()).unwrap();
    assert_eq!(config.store_url.unwrap().to_string(), "postgres://db.example:5432/books");
    let environment =
        || Environment::from([("GALLERIST_STORE_URL", "postgres://me:s3cret@other:5433/books")]);
    let config = load(file, environment()).unwrap();
    assert_eq!(config.store_url.as_ref().unwrap().to_string(), "postgres://other:5433/books");
    assert!(!format!("{config:?}").contains("s3cret"));
    let wrong = "[store]\nurl = \"mysql://me:s3cret@db.example/books\"\npool = 3\n";
    let told = load(wrong, Environment::default()).unwrap_err().to_string();
    assert!(told.contains("gallerist.toml:2: the address of the store is not of the form"), "{told}");
    assert!(told.contains("gallerist.toml:3: unknown entry \"pool\""), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn the_redis_server_is_named_by_the_variable_else_by_the_file_and_no_mistake_shows_its_password() {
    let none = load("", Environment::default()).unwrap();
    assert!(none.redis_url.is_none());
    let file = "[redis]\nurl = \"redis://cache.example\"\n";
    let config = load(file, Environment::default()).unwrap();
    assert_eq!(config.redis_url.unwrap().to_string(), "redis://cache.example:6379/0");
    let environment = |url| Environment::from([("GALLERIST_REDIS_URL", url)]);
    let config = load(file, environment("rediss://me:s3cret@other:6380/3")).unwrap();
    assert_eq!(config.redis_url.as_ref().unwrap().to_string(), "rediss://other:6380/3");
    assert!(!format!("{config:?}").contains("s3cret"));
    assert!(config.remarks.is_empty(), "{:?}", config.remarks);
    let told = load(file, environment("http://me:s3cret@other")).unwrap_err().to_string();
    assert!(
        told.contains("GALLERIST_REDIS_URL: the address of the Redis server is not of the form"),
        "{told}"
    );
    assert!(!told.contains("s3cret"), "{told}");
    let wrong = "[redis]\nurl = \"cache:6379\"\ntimeout = 3\n";
    let told = load(wrong, Environment::default()).unwrap_err().to_string();
    assert!(told.contains("gallerist.toml:2: the address of the Redis server is not of the form"), "{told}");
    assert!(told.contains("gallerist.toml:3: unknown entry \"timeout\""), "{told}");
}
